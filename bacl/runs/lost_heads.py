"""What a run says of heads that failed beside others, and the command that trains one alone."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.files.atomic import remove
from bacl.messages.errors import UserError
from bacl.messages.shown import visible
from bacl.options.composed import last_stage
from bacl.runs.outcome import DONE, write_failed
from bacl.runs.run import Run
from bacl.stages import DetectionStage


class LostHeadsError(UserError):
    """Heads of a run failed; the others are trained and evaluated."""


@rank_zero_only
def note_failed(folder: Path, reason: str) -> None:
    """Say in a folder why it holds no result, or none any more."""
    remove(folder / DONE)
    write_failed(folder, reason)


def lost(stage: DetectionStage) -> dict[str, str]:
    """Why there are no results of heads that a stage evaluates as they are, by head."""
    return {**stage.failed_heads.reasons, **stage.failed_variants.reasons}


def command(overrides: Sequence[str]) -> str:
    """A command to be typed as it stands.

    >>> print(command(["+experiment=bacl_demo", "detector.anchors.ratios=[1,2]"]))
    python run.py +experiment=bacl_demo 'detector.anchors.ratios=[1,2]'
    """
    return shlex.join(["python", "run.py", *overrides])


def overrides_alone(
    head: str, overrides: Sequence[str], config: DictConfig, folder: Path
) -> list[str]:
    """Of a command that trains one head as it would have been trained beside the others.

    Stages before it are taken from the run, not trained again.

    Args:
        head: of the run's last stage.
        overrides: of the run's own command.
        config: of the run.
        folder: of the run.
    """
    last = last_stage(config)
    others = [name for name in config.stages[last].heads if name != head]
    own = [text for text in overrides if not text.startswith("stage=")]
    own += [f"~stages.{last}.heads.{name}" for name in others]
    source = config.stages[last].init.detector
    if source in config.stages:
        finished = (folder / source / "final.ckpt").absolute()
        own += [f"stage={last}", f"stages.{last}.init.detector={_quoted(finished)}"]
    if config.report.reference in others:
        own.append("report.reference=null")
    return own


def _quoted(path: Path) -> str:
    """For Hydra, which reads some letters otherwise."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def lost_heads_error(
    reasons: Mapping[str, str], run: Run, overrides: Sequence[str], config: DictConfig
) -> LostHeadsError:
    """Name each head, why it failed, and the command that trains it alone."""
    folder = run.folder.parent
    alone = {name: overrides_alone(name, overrides, config, folder) for name in reasons}
    told = [
        f"{name}: {visible(why)}\n  alone: {command(alone[name])}" for name, why in reasons.items()
    ]
    there = ", ".join(run.stage.variants)
    return LostHeadsError(
        f"{folder}: {len(reasons)} of {len(run.stage.heads)} heads failed; {there} went on without "
        f"them, with results in {run.folder}\n" + "\n".join(told)
    )
