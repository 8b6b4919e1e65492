"""Trains the stages of a run in order, once all of them are known to be possible."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig

from bacl.assembly.build import build_stage, chosen_stages
from bacl.assembly.data import build_data, open_data
from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import build_trainer, feature_caching, prepare_process
from bacl.callbacks.itinerary import Itinerary
from bacl.checkpoints.handover import Categories
from bacl.data.datamodule import DetectionDataModule
from bacl.messages.errors import OptionError
from bacl.options.composed import last_stage, plain
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.buildable import buildable
from bacl.runs.folder import record
from bacl.runs.outcome import read_outcome
from bacl.runs.run import Run
from bacl.runs.saved_stage import restore
from bacl.runs.stage_training import finish_stage
from bacl.runs.start import Start
from bacl.runs.start_check import check_hand_over, check_starts
from bacl.runs.validations import check_validations
from bacl.stages import DetectionStage, WarmUpSchedule
from bacl.stages.detection import Variant


def train_stages(
    config: DictConfig,
    folder: Path,
    drops_heads: bool = False,
    variants: Mapping[str, Variant] | None = None,
    leaves_out: bool = False,
) -> Run:
    """Bring every chosen stage to its final.ckpt, in order; returns the last one as it was saved.

    Args:
        config: is completed by what the data decide.
        folder: of the run.
        drops_heads: whether a head that diverges or fails is left out (the stage's `dropped`), so
            that the others go on, instead of ending the run.
        variants: of the last stage, which its validations judge; None takes the heads as they are.
        leaves_out: whether heads of the last stage that cannot be built with these data are left
            out with a line, as long as there is another one.
    """
    prepare_process()
    planned = _Planned.of(config, folder)
    seed_everything(config.seed, verbose=False)
    categories = Categories.of(open_data(config))
    trained, left_out = buildable(config) if leaves_out else (config, {})
    # Every stage is built before the first one trains: a bad option fails now, not in hours.
    stages = {
        name: build_stage(trained, name, _is_new(trained, folder, name)) for name in planned.starts
    }
    _prepare(stages, drops_heads, variants or {}, left_out)
    data = {name: build_data(trained, trained.stages[name]) for name in stages}
    _check(trained, planned, stages, data)
    record(config, folder)
    for name, stage in stages.items():
        INTERRUPTION.take_place()
        INTERRUPTION.place = f"in the {name} stage, before its first step"
        trainer = _trainer(trained, folder, name, stage, planned.itinerary(name))
        run = Run(stage, data[name], trainer, categories, folder / name)
        finish_stage(run, planned.starts[name], trained)
    # What is evaluated is what was saved, on every process: batch norms follow their own images.
    restore(run, drops_heads)
    return run


@dataclass(frozen=True)
class _Planned:
    """The stages of a command by what is known before data are read."""

    starts: Mapping[str, Start]
    """By the stages' names, in order."""
    schedules: Mapping[str, WarmUpSchedule]
    processes: int
    """That train together."""

    @classmethod
    def of(cls, config: DictConfig, folder: Path) -> Self:
        """Refuses what can be refused now: to read data may take minutes."""
        names = chosen_stages(config)
        starts = {name: Start.of(config, folder, name) for name in names}
        check_starts(config, starts)
        schedules = {
            name: instantiate(config.stages[name].schedule, WarmUpSchedule) for name in names
        }
        check_validations(config, schedules)
        trainer = build_trainer(config, folder / names[0], schedules[names[0]], logs=False)
        return cls(starts, schedules, trainer.world_size)

    def itinerary(self, name: str) -> Itinerary:
        """Where a stage stands among all of them."""
        return Itinerary(
            [*self.starts].index(name), [own.epochs for own in self.schedules.values()]
        )


def _prepare(
    stages: Mapping[str, DetectionStage],
    drops_heads: bool,
    variants: Mapping[str, Variant],
    left_out: Mapping[str, str],
) -> None:
    """Tell stages what may fail alone, and the last one what it judges and what it lacks."""
    last = list(stages.values())[-1]
    last.variants = variants
    for stage in stages.values():
        stage.tolerate_failures(drops_heads)
    last.failed_heads.reasons |= left_out


def _check(
    config: DictConfig,
    planned: _Planned,
    stages: Mapping[str, DetectionStage],
    data: Mapping[str, DetectionDataModule],
) -> None:
    """Refuse stages that do not follow each other, or cannot be trained with these data."""
    for start in planned.starts.values():
        check_hand_over(start, stages)
    for of_stage in data.values():
        of_stage.check(planned.processes)
    _check_caching(config, stages, data)


def _check_caching(
    config: DictConfig,
    stages: Mapping[str, DetectionStage],
    data: Mapping[str, DetectionDataModule],
) -> None:
    """Refuse to keep features where there are none that stay, or that come again.

    Raises:
        OptionError: names the option that hinders it.
    """
    for caching in feature_caching(config):
        keeps = [caching.check(name, stages[name], data[name].augment) for name in stages]
        if not any(keeps):
            raise OptionError(
                "cache=features: the backbone trains in every stage of this command, so that no "
                "features stay what they are; leave it out"
            )


def _trainer(
    config: DictConfig, folder: Path, name: str, stage: DetectionStage, itinerary: Itinerary
) -> Trainer:
    """That of a stage; nothing is logged any more once it is finished and, as the last, judged."""
    finished = (folder / name / "final.ckpt").exists()
    done = finished and read_outcome(folder, name).status == "done"
    silent = finished and (done or name != last_stage(config))
    trainer = build_trainer(config, folder / name, stage.schedule, not silent, itinerary)
    for logger in trainer.loggers:
        logger.log_hyperparams(plain(config))
    return trainer


def _is_new(config: DictConfig, folder: Path, name: str) -> bool:
    """Whether the stage starts from the backbone's weights rather than from a checkpoint."""
    saved = (folder / name / "last.ckpt", folder / name / "final.ckpt")
    return config.stages[name].init.detector is None and not any(path.exists() for path in saved)
