"""Which thresholds of a checkpoint still hold: those of scores that are calibrated as they were."""

from typing import Any

from omegaconf import DictConfig

from bacl.assembly.build import with_calibration
from bacl.assembly.harmless import counts_categories
from bacl.checkpoints.handover import State
from bacl.checkpoints.score_thresholds import ScoreThresholds, saved_thresholds
from bacl.options.composed import plain


def held_thresholds(content: State, config: DictConfig, stage: str) -> dict[str, ScoreThresholds]:
    """By head.

    Args:
        content: of the checkpoint.
        config: what its model is built from now.
        stage: whose heads these are.
    """
    saved, now = content["config"], plain(config)
    return {
        head: each
        for head, each in saved_thresholds(content).items()
        if _calibration(saved, stage, head) == _calibration(now, stage, head)
    }


def _calibration(config: dict[str, Any], stage: str, head: str) -> Any:
    """Options of a head's calibration, but for where its counts come from."""
    options = config["stages"].get(stage, {"heads": {}})["heads"].get(head, {})
    return _without_counts(with_calibration(options, config.get("calibration"))["calibration"])


def _without_counts(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {k: _without_counts(each) for k, each in node.items() if not counts_categories(each)}
