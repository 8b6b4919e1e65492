"""From a configuration to Lightning's trainer, with what watches and logs a training."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, ListConfig, OmegaConf

from bacl.assembly.instantiate import called, instantiate
from bacl.assembly.refused_options import naming_refused
from bacl.callbacks.classifier_recorder import ClassifierRecorder
from bacl.callbacks.console import ProgressBar
from bacl.callbacks.feature_caching import FeatureCaching
from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.itinerary import Itinerary
from bacl.callbacks.last_checkpoint import LastCheckpoint
from bacl.callbacks.lightning_messages import tidy_messages
from bacl.callbacks.memory_watch import MemoryWatch
from bacl.callbacks.step_timer import StepTimer
from bacl.callbacks.termination import Termination, watch_processes
from bacl.checkpoints.whole_files import WholeFiles
from bacl.loggers.csv_logger import CSVLogger
from bacl.loggers.spared_logger import SparedLogger
from bacl.options.composed import plain
from bacl.processes.agreement import Agreement
from bacl.stages import WarmUpSchedule

MATMUL_PRECISION = "matmul_precision"
"""The trainer's option that is torch's and not Lightning's."""


def prepare_process() -> None:
    """Settings of the whole process, before anything speaks or computes."""
    tidy_messages()
    watch_processes()
    torch.set_flush_denormal(True)  # denormal numbers make CPU convolutions several times slower


def build_trainer(
    config: DictConfig,
    folder: Path,
    schedule: WarmUpSchedule,
    logs: bool,
    itinerary: Itinerary | None = None,
) -> Trainer:
    """A trainer that checkpoints into the stage's folder.

    Args:
        config: with the trainer's options.
        folder: of the stage.
        schedule: of the stage.
        logs: whether it logs there, too.
        itinerary: the stages of the run that it is of, for the progress bar.
    """
    loggers = build_loggers(config, folder) if logs else []
    return _trainer(
        config,
        max_epochs=schedule.epochs,
        **_validates(OmegaConf.select(config, "validation.every"), schedule.epochs),
        default_root_dir=str(folder),
        logger=loggers,
        callbacks=[
            *callbacks(folder, config.checkpoint_every_minutes, config.check_memory),
            *feature_caching(config),
            *([ProgressBar(itinerary=itinerary)] if config.trainer.enable_progress_bar else []),
        ],
        plugins=[WholeFiles()],
    )


def _validates(every: float | None, epochs: int) -> dict[str, Any]:
    """When Lightning validates, for `validation.every`."""
    if every is None:
        return {"check_val_every_n_epoch": epochs + 1}
    if every < 1:
        return {"check_val_every_n_epoch": 1, "val_check_interval": float(every)}
    return {"check_val_every_n_epoch": int(every)}


def single_device_trainer(config: DictConfig) -> Trainer:
    """A trainer on one device that neither logs nor saves, asked for its device and precision."""
    alone = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    return _trainer(config, **alone, logger=False, enable_checkpointing=False)


def measuring_trainer(
    config: DictConfig, schedule: WarmUpSchedule, watching: list[Callback]
) -> Trainer:
    """A trainer on one device that trains and leaves nothing: no evaluation, log or checkpoint.

    Args:
        config: of the run.
        schedule: its epochs decide what the learning rate does; who watches ends it earlier.
        watching: the callbacks.
    """
    return _trainer(
        config,
        devices=1,
        num_nodes=1,
        strategy="auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        max_epochs=schedule.epochs,
        callbacks=watching,
    )


def configured_processes(config: DictConfig) -> int:
    """Processes that share a batch, by the trainer's options; 1 where it is to find out."""
    devices, nodes = config.trainer.devices, int(config.trainer.num_nodes)
    if isinstance(devices, ListConfig):
        return len(devices) * nodes
    return int(devices) * nodes if str(devices).isdecimal() else 1


def build_fabric(config: DictConfig) -> Fabric:
    """Device and precision of the trainer, for what has no training loop.

    Raises:
        OptionError: Lightning refuses an option, which is named with what it says.
    """
    set_matmul_precision(config)
    options = {key: config.trainer[key] for key in ("accelerator", "precision")}
    with naming_refused(options):
        return Fabric(**options, devices=1)


def set_matmul_precision(config: DictConfig) -> None:
    """Let torch multiply float32 matrices as the trainer's option says, in the whole process."""
    torch.set_float32_matmul_precision(config.trainer.get(MATMUL_PRECISION, "highest"))


def _trainer(config: DictConfig, **options: Any) -> Trainer:
    """The configuration's trainer.

    Raises:
        OptionError: Lightning refuses an option, which is named with what it says.
    """
    set_matmul_precision(config)
    node = {key: value for key, value in plain(config.trainer).items() if key != MATMUL_PRECISION}
    own = {key: value for key, value in node.items() if key not in options}
    with naming_refused(own):
        return called(node, options)


def build_loggers(config: DictConfig, folder: Path) -> list[Logger]:
    """The loggers of the configuration, writing into a stage's folder.

    Only the run's own csv may end the run: its rows are part of what an interrupted one goes on
    from.
    """
    nodes = config.logger.values()
    made = [instantiate(node, Logger, save_dir=str(folder)) for node in nodes]
    return [logger if isinstance(logger, CSVLogger) else SparedLogger(logger) for logger in made]


def callbacks(
    folder: Path, checkpoint_every_minutes: float, check_memory: bool = True
) -> list[Callback]:
    """What watches a stage."""
    agreement = Agreement(checkpoint_every_minutes)
    last = LastCheckpoint(folder, agreement)
    watch = FiniteLoss(agreement)
    measuring = [ClassifierRecorder(), StepTimer(), MemoryWatch(check_memory)]
    return [last, watch, *measuring, Termination(agreement)]


def feature_caching(config: DictConfig) -> list[FeatureCaching]:
    """What keeps features on disk, if anything does."""
    node = config.get("cache")
    return [] if node is None else [instantiate(node, FeatureCaching)]
