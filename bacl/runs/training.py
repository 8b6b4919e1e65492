"""Trains the stages of a run in order, each from what it starts from to its final.ckpt."""

from pathlib import Path
from signal import SIGTERM
from typing import Any

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only
from omegaconf import DictConfig

from bacl.assembly.build import (
    build_data,
    build_stage,
    build_trainer,
    chosen_stages,
    instantiate,
    open_data,
    prepare_process,
)
from bacl.assembly.trial import try_to_build
from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.last_checkpoint import metrics_files
from bacl.checkpoints.handover import (
    Categories,
    fill,
    finite_heads,
    load_stage,
    save_stage,
    saved_categories,
)
from bacl.checkpoints.whole_files import Restoring, not_restored
from bacl.data.datamodule import DetectionDataModule
from bacl.files.atomic import remove
from bacl.options.comparison import require_right_options
from bacl.options.composed import last_stage, plain
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.folder import record
from bacl.runs.outcome import read_outcome
from bacl.runs.start import Start
from bacl.stages import DetectionStage, Schedule


def train_stages(
    config: DictConfig, folder: Path, drops_heads: bool = False
) -> tuple[DetectionStage, Trainer]:
    """Bring every chosen stage to its final.ckpt, in order; returns the last one as it was saved.

    Args:
        config: is completed by what the data decide.
        folder: of the run.
        drops_heads: whether a head that diverges is left out (the stage's `dropped`), so that the
            others go on, instead of ending the run.
    """
    prepare_process()
    require_right_options(config)
    names = chosen_stages(config)
    # What can be refused before data are read, which may take minutes, is.
    tried = try_to_build(config)
    starts = {name: Start.of(config, folder, name) for name in names}
    for name in names:
        starts[name].check(tried[name])
    schedule = instantiate(config.stages[names[0]].schedule, Schedule)
    trainer = build_trainer(config, folder / names[0], schedule, logs=False)
    seed_everything(config.seed, verbose=False)
    table = open_data(config)
    # Every stage is built before the first one trains: a bad option fails now, not in hours.
    stages = {name: build_stage(config, name, _is_new(config, folder, name)) for name in names}
    data = {name: build_data(config, config.stages[name]) for name in names}
    for name in names:
        starts[name].check_hand_over(stages)
    data[names[0]].check(trainer.world_size)
    record(config, folder)
    categories = Categories.of(table)
    for name in names:
        trainer = train_stage(
            config, folder, name, stages[name], data[name], categories, drops_heads
        )
    # What is evaluated is what was saved, on every process: batch norms follow their own images.
    restore(stages[name], folder / name / "final.ckpt", categories, drops_heads)
    return stages[name], trainer


def train_stage(
    config: DictConfig,
    folder: Path,
    name: str,
    stage: DetectionStage,
    data: DetectionDataModule,
    categories: Categories,
    drops_heads: bool = False,
) -> Trainer:
    """Bring one stage to its final.ckpt, unless it is there."""
    INTERRUPTION.take_place()
    INTERRUPTION.place = f"in the {name} stage, before its first step"
    own = folder / name
    finished = (own / "final.ckpt").exists()
    done = finished and read_outcome(folder, name).status == "done"
    evaluated = done or name != last_stage(config)
    trainer = build_trainer(config, own, stage.schedule, logs=not (finished and evaluated))
    trainer.datamodule = data  # type: ignore[attr-defined]
    for logger in trainer.loggers:
        logger.log_hyperparams(plain(config))
    if finished:
        rank_zero_info(f"{name}: finished before, see {own / 'final.ckpt'}")
        remove(_interrupted(own))  # of a kill right after the last checkpoint
        _log_after_training(trainer, stage.schedule.epochs)
        return trainer
    if not _interrupted(own).exists():
        Start.of(config, folder, name).take(stage, categories)
    train(trainer, stage, _interrupted(own), drops_heads)
    finish(own, stage, categories, config)
    trainer.strategy.barrier("stage finished")
    INTERRUPTION.place = f"after the {name} stage"
    INTERRUPTION.take_place()
    return trainer


def train(trainer: Trainer, stage: DetectionStage, interrupted: Path, drops_heads: bool) -> None:
    """Train a stage, from where it was interrupted or from the beginning.

    Raises:
        DivergedError: instead of an error that has no other cause.
        CheckpointError: the checkpoint of the interrupted training is damaged, or of another one.
    """
    resumed: dict[str, Any] = {}
    if interrupted.exists():
        resumed = {"ckpt_path": str(interrupted), "weights_only": True}
    (watch,) = [callback for callback in trainer.callbacks if isinstance(callback, FiniteLoss)]  # type: ignore[attr-defined]
    watch.drops_heads = drops_heads
    restoring = Restoring()
    trainer.callbacks.append(restoring)  # type: ignore[attr-defined]
    try:
        trainer.fit(stage, datamodule=trainer.datamodule, **resumed)  # type: ignore[attr-defined]
    except SIGTERMException:
        raise INTERRUPTION.end(SIGTERM) from None  # Lightning's own leaves with 0, as if finished
    except Exception as error:
        told = watch.diagnosis or not_restored(trainer, restoring, error)
        if told is None:
            raise
        raise told from error


@rank_zero_only
def finish(folder: Path, stage: DetectionStage, categories: Categories, config: DictConfig) -> None:
    """Write the stage's final.ckpt; the checkpoint for resuming has served."""
    save_stage(folder / "final.ckpt", stage.detector, stage.live_heads, categories, plain(config))
    remove(_interrupted(folder))


def _log_after_training(trainer: Trainer, epochs: int) -> None:
    """Let an evaluation log where the training ended, in place of what an interrupted one did."""
    loop: Any = trainer.fit_loop
    loop.epoch_progress.current.completed = epochs
    for file in metrics_files(trainer):
        loop.epoch_loop._batches_that_stepped = file.keep_training()


def restore(
    stage: DetectionStage, path: Path, categories: Categories, drops_heads: bool = False
) -> None:
    """Load a finished stage: detector and every head.

    With `drops_heads` heads that the file lacks are those that diverged; they are dropped again,
    and so are those whose last step did.

    Raises:
        CheckpointError: it is missing, or of other categories, options or heads.
    """
    content = load_stage(path)
    categories.check(saved_categories(content), path)
    if drops_heads:
        stage.dropped = set(stage.heads) - finite_heads(content)
    fill(stage.detector, stage.live_heads, content, path)


def _interrupted(folder: Path) -> Path:
    return folder / "last.ckpt"


def _is_new(config: DictConfig, folder: Path, name: str) -> bool:
    """Whether the stage starts from the backbone's weights rather than from a checkpoint."""
    saved = (_interrupted(folder / name), folder / name / "final.ckpt")
    return config.stages[name].init.detector is None and not any(path.exists() for path in saved)
