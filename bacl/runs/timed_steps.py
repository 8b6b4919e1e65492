"""A few real steps of a stage, with what its training will take of time and memory."""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec

import torch
from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig, open_dict

from bacl.assembly.build import build_stage
from bacl.assembly.data import build_data
from bacl.assembly.trainer import (
    configured_processes,
    measuring_trainer,
    single_device_trainer,
)
from bacl.callbacks.memory_watch import MEASURED, MemoryWatch
from bacl.callbacks.memory_watch import WARM_UP as MEMORYS_WARM_UP
from bacl.callbacks.step_clock import StepClock
from bacl.messages.errors import UserError
from bacl.speed.step_times import StepTimes
from bacl.stages import DetectionStage

_LOG = logging.getLogger(__name__)

WARM_UP = 1
MIB = 2**20


class TooFewStepsError(UserError):
    """The training has no more steps than those to warm up."""


def time_steps(config: DictConfig, name: str, steps: int) -> StepTimes:
    """Train a stage for a step to warm up and a few more, from random weights, on one device.

    Of a batch that several processes share, this one takes its share. Nothing is written. On a CPU
    an image at a time is tried before: a system may end a process that takes too much.

    Args:
        config: with the number of categories.
        name: of the stage.
        steps: that are timed.

    Raises:
        TooFewStepsError: there are not so many.
        TooLargeError: the largest batch of these data will not fit.
        UserError: whatever stops a training: a picture that cannot be read, an option.
    """
    config, processes = config.copy(), configured_processes(config)
    with open_dict(config):
        config.datamodule.batch_size = max(1, config.datamodule.batch_size // processes)
        config.datamodule.check_pictures = False  # a step tells of those that it reads
    _LOG.info(
        "timing %d steps of the %s stage, %d images each, after one to warm up: "
        "minutes for a large detector without a GPU (inspection.steps=0 times none)",
        steps, name, config.datamodule.batch_size,
    )  # fmt: skip
    share = config.datamodule.batch_size
    if share > 1 and config.check_memory:
        _try_one_image(config, name, processes)
    clock = StepClock(WARM_UP, steps)
    watch = MemoryWatch(config.check_memory, processes)
    stage, trainer = _trained(config, name, clock, watch)
    if not clock.timed:
        raise TooFewStepsError(f"the {name} stage has a single step; more data, or more epochs")
    return _times(name, stage, trainer, clock, share, trainer.strategy.root_device)


def _try_one_image(config: DictConfig, name: str, processes: int) -> None:
    """Steps of an image each, to see whether one of as many as are meant can fit.

    Raises:
        TooLargeError: it cannot.
    """
    alone = config.copy()
    with open_dict(alone):
        alone.datamodule.batch_size = alone.trainer.accumulate_grad_batches = 1
    if single_device_trainer(alone).strategy.root_device.type == "cpu":
        gathered = config.trainer.accumulate_grad_batches
        watch = MemoryWatch(True, processes, config.datamodule.batch_size, gathered)
        _trained(alone, name, StepClock(MEMORYS_WARM_UP, MEASURED), watch)


def _trained(
    config: DictConfig, name: str, clock: StepClock, watch: MemoryWatch
) -> tuple[DetectionStage, Trainer]:
    """A stage after the steps that a clock counts, and what trained it."""
    seed_everything(config.seed, verbose=False)
    stage, data = build_stage(config, name, False), build_data(config, config.stages[name])
    trainer = measuring_trainer(config, stage.schedule, [clock, watch])
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer.fit(stage, datamodule=data)
    return stage, trainer


def _times(
    name: str,
    stage: DetectionStage,
    trainer: Trainer,
    clock: StepClock,
    images: int,
    device: torch.device,
) -> StepTimes:
    seconds, waiting = clock.means
    return StepTimes(
        name, seconds, waiting, clock.timed, images, int(trainer.num_training_batches),
        stage.schedule.epochs, _peak_memory(device), _told(device),
    )  # fmt: skip


def _peak_memory(device: torch.device) -> float | None:
    """MiB of the GPU that torch reserved, else of this process; None where the system says none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / MIB
    if find_spec("resource") is None:  # Windows
        return None
    resource = import_module("resource")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def _told(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
