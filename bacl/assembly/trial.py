"""Options that do not go together are heard of before data are opened, not after."""

from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from bacl.assembly.build import build_stage, chosen_stages
from bacl.assembly.data import build_data
from bacl.assembly.harmless import counts_categories, unknown_counts
from bacl.assembly.instantiate import instantiate
from bacl.detectors.levels import uncut_level
from bacl.heads import Calibration, Head
from bacl.heads.calibration import Uncalibrated
from bacl.options.composed import plain
from bacl.stages import DetectionStage


def try_to_build(config: DictConfig, num_classes: int = 1) -> dict[str, DetectionStage]:
    """The chosen stages with all their parts, without numbers in them and without any file.

    What one option says of another is known to the classes that take both.

    Args:
        config: of a run.
        num_classes: stands for the categories, where the configuration has no number of them.

    Raises:
        UserError: one of them refuses its options.
    """
    config = config.copy()
    with open_dict(config):
        config.data.num_classes = config.data.num_classes or num_classes
    labels = [str(label) for label in range(config.data.num_classes)]
    described = OmegaConf.create(without_data(plain(config), labels))
    stages = {}
    with torch.device("meta"):
        for name in chosen_stages(described):
            stages[name] = build_stage(described, name, pretrained=False)
            build_data(described, described.stages[name])
            _try_calibrations(stages[name])
        if described.get("choice") is not None:
            instantiate(described.choice)
    return stages


def _try_calibrations(stage: DetectionStage) -> None:
    """Score an RoI without numbers, for what a calibration has against its classifier."""
    for head in stage.live_heads.values():
        if not isinstance(head.calibration, Uncalibrated):
            try_calibration(head, head.calibration, stage.detector.feature_dim)


def try_calibration(head: Head, calibration: Calibration, feature_dim: int) -> None:
    """Score an RoI.

    Args:
        head: of its kind are the logits, which are zero.
        calibration: makes scores of them.
        feature_dim: D.

    Raises:
        UserError: what the calibration has against the head.
    """
    nothing = partial(torch.zeros, 1, feature_dim)
    roi = uncut_level(torch.zeros(1, 1, 1, 1), lambda rois: nothing(), lambda features: features)
    logits = [torch.zeros(1, each.criterion.num_logits) for each in head.classifiers]
    head.calibrated(logits, [roi] * len(logits), calibration)


def without_data(node: Any, labels: list[str]) -> Any:
    """A configuration with counts that read no file, for a model that is filled or thrown away.

    Args:
        node: plain values.
        labels: one for each category (`unknown_counts`).
    """
    if isinstance(node, list):
        return [without_data(value, labels) for value in node]
    if not isinstance(node, dict):
        return node
    if counts_categories(node):
        return unknown_counts(labels)
    return {key: without_data(value, labels) for key, value in node.items()}
