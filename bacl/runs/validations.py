"""What the validations within a stage's training are for (`validation`)."""

import math
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only, rank_zero_warn
from omegaconf import DictConfig

from bacl.callbacks.best_checkpoint import BestCheckpoint
from bacl.checkpoints.handover import load_stage, save_stage
from bacl.checkpoints.taken_over import fill
from bacl.messages.errors import OptionError
from bacl.options.composed import plain_with_heads
from bacl.runs.run import Run
from bacl.stages import WarmUpSchedule


def check_validations(config: DictConfig, schedules: Mapping[str, WarmUpSchedule]) -> None:
    """Refuse what needs validations that there are none of.

    Args:
        config: of a run.
        schedules: of its stages that train, by name.

    Raises:
        OptionError: names the option and the mend.
    """
    wanted = config.validation
    needs = {
        f"validation.take={wanted.take}": wanted.take == "best",
        f"validation.patience={wanted.patience}": wanted.patience is not None,
    }
    for option in (option for option, given in needs.items() if given):
        if wanted.every is None:
            raise OptionError(
                f"{option}: there are no validations within a training; choose when: "
                "validation.every=1 is after every epoch"
            )
        for name, schedule in schedules.items():
            if wanted.every > schedule.epochs:
                raise OptionError(
                    f"{option}: validation.every={wanted.every}, but the {name} stage has "
                    f"{schedule.epochs} epochs; validate more often"
                )
    if wanted.take == "best":
        _check_last_epoch(wanted.every, schedules)


def _check_last_epoch(every: float, schedules: Mapping[str, WarmUpSchedule]) -> None:
    """The last weights, mostly the best after the last drop of the learning rate, have to compete.

    Within an epoch the steps that are left after its last validation are few.
    """
    for name, schedule in schedules.items():
        if every >= 1 and schedule.epochs % every:
            raise OptionError(
                f"validation.take=best: validation.every={every} leaves out the last of the "
                f"{schedule.epochs} epochs of the {name} stage; take a divisor of them, such as 1"
            )


def best_checkpoint(run: Run, config: DictConfig) -> BestCheckpoint | None:
    """What keeps the best weights of a stage as its best.ckpt; None without validations."""
    wanted = config.validation
    if wanted.every is None:
        return None

    @rank_zero_only
    def save(path: Path) -> None:
        detector, heads = run.stage.detector, run.stage.live_heads
        said = plain_with_heads(config, run.folder.name, heads)
        save_stage(path, detector, heads, run.categories, said)

    return BestCheckpoint(run.folder / "best.ckpt", save, wanted.measure, wanted.patience)


def take_best(run: Run, best: BestCheckpoint | None, config: DictConfig) -> None:
    """Give a trained stage the weights of its best validation, where that is asked for.

    Where no validation could be evaluated there are none: the stage ends with its last weights,
    hours of training that an evaluation can be mended for.

    Raises:
        CheckpointError: the file with them is damaged, or is not there any more.
    """
    if best is None or config.validation.take != "best":
        return
    run.trainer.strategy.barrier("best weights written")
    if not best.path.exists() and best.best == -math.inf:
        reasons = dict.fromkeys(run.stage.failed_variants.reasons.values())
        rank_zero_warn(
            f"validation.take=best: no validation of the {run.folder.name} stage could be "
            f"evaluated ({'; '.join(reasons) or 'none was made'}), so none is the best; it ends "
            "with its last weights. With the cause mended, job=test evaluates them"
        )
        return
    fill(run.stage.detector, run.stage.live_heads, load_stage(best.path), best.path)
    rank_zero_info(
        f"the {run.folder.name} stage ends with the weights after step {best.step}: "
        f"{config.validation.measure} {best.best:.4f}, its best"
    )
