"""A finished stage of a run, as its final.ckpt holds it."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.checkpoints.handover import Categories, load_stage, save_stage, saved_categories
from bacl.checkpoints.taken_over import fill, finite_heads
from bacl.detectors.any_detector import Detector
from bacl.files.atomic import remove
from bacl.heads import Head
from bacl.options.composed import plain_with_heads
from bacl.runs.run import Run
from bacl.stages.failed_heads import read_failed_heads


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
