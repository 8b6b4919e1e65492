"""Thresholds of scores go where the model goes: into the checkpoint whose scores they are of."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.checkpoints.score_thresholds import ScoreThresholds, add_thresholds
from bacl.evaluation.evaluation import Evaluation


@rank_zero_only
def keep_thresholds(checkpoint: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Write what was chosen for heads into their final.ckpt.

    Args:
        checkpoint: of these heads, with the calibrations that they were evaluated with.
        evaluations: by head.
    """
    if found := chosen_thresholds(evaluations):
        add_thresholds(checkpoint, found)


def chosen_thresholds(evaluations: Mapping[str, Evaluation]) -> dict[str, ScoreThresholds]:
    """What was chosen by all images, by head; without those for which nothing was."""
    found = {}
    for head, each in evaluations.items():
        if (points := each.operating_points) is not None:
            chosen = points.thresholds
            lists = chosen.per_group.tolist(), chosen.per_category.tolist()
            found[head] = ScoreThresholds(points.objective, chosen.of_all, *lists)
    return found
