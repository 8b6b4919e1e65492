"""What a restored model takes of its detections, from the words of a command."""

from typing import get_args

import torch

from bacl.assembly.rebuilt import Restored
from bacl.detectors.acceptance import Acceptance
from bacl.messages.errors import OptionError, require
from bacl.options.ranges import Threshold, ThresholdKind


def acceptance(
    model: Restored, head: str, threshold: Threshold, one_label: bool, option: str
) -> Acceptance:
    """Which detections of a head are taken.

    Args:
        model: has the thresholds, where they are chosen ones.
        head: one of its heads.
        threshold: a score for all categories, or which of the chosen thresholds.
        one_label: whether of overlapping detections of any categories the best is taken, at the
            IoU of the detector's own suppression.
        option: that names the threshold, for messages.

    Raises:
        OptionError: the model has no such thresholds, or there is no such word.
    """
    if isinstance(threshold, str):
        limits = _chosen(model, head, threshold, option)
    else:
        require(option, threshold, 0, 1)
        limits = [threshold] * len(model.categories.ids)
    iou = model.stage.detector.postprocess.tolerated_iou if one_label else None
    return Acceptance(torch.tensor(limits, dtype=torch.float32), iou)


def in_words(threshold: Threshold, one_label: bool) -> str:
    """By what detections are taken.

    >>> in_words(0.5, False), in_words("per_category", True)
    ('with score ≥ 0.5', 'by thresholds per category, one label')
    """
    one = ", one label" if one_label else ""
    if isinstance(threshold, str):
        return f"by thresholds {threshold.replace('_', ' ')}{one}"
    return f"with score ≥ {threshold:g}{one}"


def _chosen(model: Restored, head: str, kind: ThresholdKind, option: str) -> list[float]:
    if kind not in (known := get_args(ThresholdKind)):
        raise OptionError(f"{option}={kind}: expected a score from 0 to 1 or {' or '.join(known)}")
    if head not in model.thresholds:
        raise OptionError(
            f"{option}={kind}: {model.path} has no thresholds of {head} for these scores: it is of "
            "an earlier version, was not evaluated as the last stage of its run, or has another "
            "calibration by this command. The command that trained it, given again, evaluates it "
            "without training and keeps them; or name a score"
        )
    return model.thresholds[head].of(kind)
