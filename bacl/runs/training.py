"""Trains the stages of a run in order, each from what it starts from to its final.ckpt."""

from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Any

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only
from omegaconf import DictConfig

from bacl.assembly.build import build_stage, chosen_stages
from bacl.assembly.data import build_data, open_data
from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import build_trainer, feature_caching, prepare_process
from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.itinerary import Itinerary
from bacl.callbacks.last_checkpoint import metrics_files
from bacl.checkpoints.handover import Categories, load_stage, save_stage, saved_categories
from bacl.checkpoints.taken_over import fill, finite_heads
from bacl.checkpoints.whole_files import Restoring, not_restored
from bacl.data.datamodule import DetectionDataModule
from bacl.detectors.any_detector import Detector
from bacl.files.atomic import remove
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.options.composed import last_stage, plain, plain_with_heads
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.buildable import buildable
from bacl.runs.folder import record
from bacl.runs.outcome import read_outcome
from bacl.runs.run import Run
from bacl.runs.start import Start
from bacl.runs.start_check import check_hand_over, check_starts
from bacl.runs.too_large import too_large
from bacl.runs.validations import best_checkpoint, check_validations, take_best
from bacl.stages import DetectionStage, WarmUpSchedule
from bacl.stages.detection import Variant
from bacl.stages.failed_heads import read_failed_heads


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
    names = chosen_stages(config)
    # What can be refused before data are read, which may take minutes, is.
    starts = {name: Start.of(config, folder, name) for name in names}
    check_starts(config, starts)
    schedules = {name: instantiate(config.stages[name].schedule, WarmUpSchedule) for name in names}
    check_validations(config, schedules)
    trainer = build_trainer(config, folder / names[0], schedules[names[0]], logs=False)
    seed_everything(config.seed, verbose=False)
    categories = Categories.of(open_data(config))
    given: DictConfig = config
    left_out: dict[str, str] = {}
    if leaves_out:
        config, left_out = buildable(config)
    # Every stage is built before the first one trains: a bad option fails now, not in hours.
    stages = {name: build_stage(config, name, _is_new(config, folder, name)) for name in names}
    stages[names[-1]].variants = variants or {}
    for stage in stages.values():
        stage.tolerate_failures(drops_heads)
    stages[names[-1]].failed_heads.reasons |= left_out
    data = {name: build_data(config, config.stages[name]) for name in names}
    for name in names:
        check_hand_over(starts[name], stages)
    for of_stage in data.values():
        of_stage.check(trainer.world_size)
    _check_caching(config, stages, data)
    record(given, folder)
    for name in names:
        INTERRUPTION.take_place()
        INTERRUPTION.place = f"in the {name} stage, before its first step"
        itinerary = Itinerary(names.index(name), [each.epochs for each in schedules.values()])
        trainer = _trainer(config, folder, name, stages[name], itinerary)
        run = Run(stages[name], data[name], trainer, categories, folder / name)
        finish_stage(run, starts[name], config)
    # What is evaluated is what was saved, on every process: batch norms follow their own images.
    restore(run, drops_heads)
    return run


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


def finish_stage(run: Run, start: Start, config: DictConfig) -> None:
    """Bring one stage to its final.ckpt, unless it is there."""
    if run.final.exists():
        rank_zero_info(f"{start.stage}: finished before, see {run.final}")
        remove(run.interrupted)  # of a kill right after the last checkpoint
        _log_after_training(run.trainer, run.stage.schedule.epochs)
        return
    if not run.interrupted.exists():
        start.take(run.stage, run.categories, run.folder)
        # Before the others: from their start on, a step is finished before a signal ends the run.
        run.trainer.callbacks[:0] = start.before_first_step(run.stage)  # type: ignore[attr-defined]
    best = best_checkpoint(run, config)
    run.trainer.callbacks.extend([best] if best else [])  # type: ignore[attr-defined]
    train(run)
    take_best(run, best, config)
    save(run.folder, run.stage.detector, run.stage.live_heads, run.categories, config)
    run.trainer.strategy.barrier("stage finished")
    INTERRUPTION.place = f"after the {start.stage} stage"
    INTERRUPTION.take_place()


def train(run: Run) -> None:
    """Train a stage, from where it was interrupted or from the beginning.

    Raises:
        DivergedError: instead of an error that has no other cause.
        TooLargeError: a step ran out of memory.
        CheckpointError: the checkpoint of the interrupted training is damaged, or of another one.
    """
    trainer, resumed = run.trainer, {}
    if run.interrupted.exists():
        resumed = {"ckpt_path": str(run.interrupted), "weights_only": True}
    (watch,) = [callback for callback in trainer.callbacks if isinstance(callback, FiniteLoss)]  # type: ignore[attr-defined]
    restoring = Restoring()
    trainer.callbacks.append(restoring)  # type: ignore[attr-defined]
    try:
        run.fit(**resumed)
    except SIGTERMException:
        raise INTERRUPTION.end(SIGTERM) from None  # Lightning's own leaves with 0, as if finished
    except Exception as error:
        diverged = watch.diagnosis
        told = diverged or not_restored(trainer, restoring, error) or too_large(trainer, error)
        if told is None:
            raise
        raise told from error


@rank_zero_only
def save(
    folder: Path,
    detector: Detector,
    heads: Mapping[str, Head],
    categories: Categories,
    config: DictConfig,
) -> None:
    """Write a stage's final.ckpt into its folder; the checkpoint for resuming has served."""
    said = plain_with_heads(config, folder.name, heads)
    save_stage(folder / "final.ckpt", detector, heads, categories, said)
    remove(folder / "last.ckpt")


def _log_after_training(trainer: Trainer, epochs: int) -> None:
    """Let an evaluation log where the training ended, in place of what an interrupted one did."""
    loop: Any = trainer.fit_loop
    loop.epoch_progress.current.completed = epochs
    for file in metrics_files(trainer):
        loop.epoch_loop._batches_that_stepped = file.keep_training()


def restore(run: Run, drops_heads: bool = False) -> None:
    """Load a finished stage: detector and every head.

    With `drops_heads` heads that the file lacks are those that diverged or failed; they are dropped
    again, and so are those whose last step did.

    Raises:
        CheckpointError: it is missing, or of other categories, options or heads.
    """
    content, stage = load_stage(run.final), run.stage
    run.categories.check(saved_categories(content), run.final)
    if drops_heads and (alive := finite_heads(content) & set(stage.heads)):
        stage.dropped = set(stage.heads) - alive
        known = read_failed_heads(run.folder)
        for name in sorted(stage.dropped):
            stage.failed_heads.note(name, known.get(name, "its weights are no longer finite"))
    fill(stage.detector, stage.live_heads, content, run.final)


def _is_new(config: DictConfig, folder: Path, name: str) -> bool:
    """Whether the stage starts from the backbone's weights rather than from a checkpoint."""
    saved = (folder / name / "last.ckpt", folder / name / "final.ckpt")
    return config.stages[name].init.detector is None and not any(path.exists() for path in saved)
