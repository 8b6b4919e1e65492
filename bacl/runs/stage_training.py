"""Trains one stage of a run, from what it starts from, or was interrupted at, to its final.ckpt."""

from signal import SIGTERM
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from omegaconf import DictConfig

from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.last_checkpoint import metrics_files
from bacl.checkpoints.whole_files import Restoring, not_restored
from bacl.files.atomic import remove
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.run import Run
from bacl.runs.saved_stage import save
from bacl.runs.start import Start
from bacl.runs.too_large import too_large
from bacl.runs.validations import best_checkpoint, take_best


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


def _log_after_training(trainer: Trainer, epochs: int) -> None:
    """Let an evaluation log where the training ended, in place of what an interrupted one did."""
    loop: Any = trainer.fit_loop
    loop.epoch_progress.current.completed = epochs
    for file in metrics_files(trainer):
        loop.epoch_loop._batches_that_stepped = file.keep_training()
