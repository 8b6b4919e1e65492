"""Evaluations of given numbers, as a metric would have found them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping
from bacl.evaluation.reliability import Reliability
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.rules import Rules
from bacl.evaluation.shift_curve import ShiftCurve
from bacl.evaluation.summary import label_summary, summary
from bacl.evaluation.thresholds.operating_points import OperatingPoints

RULES = Rules(300, limit_per_category=False, federated=True, without_area=False)


def evaluation(
    values: Mapping[str, float],
    grouping: Grouping,
    per_category: Mapping[str, np.ndarray] | None = None,
    part: str = "",
    right_labels: RightLabels | None = None,
    shift: ShiftCurve | None = None,
    operating_points: OperatingPoints | None = None,
    reliabilities: Mapping[str, Reliability] | None = None,
) -> Evaluation:
    """Of all measures of LVIS, with those of masks where a value is one of theirs."""
    curves = list(summary(RULES, grouping))
    masks = [each.as_masks() for each in curves] if any("segm/" in name for name in values) else []
    nothing = DetectionColumns.concatenate([])
    return Evaluation(
        [*curves, *label_summary(grouping), *masks],
        values,
        per_category or {},
        grouping,
        None,
        part,
        nothing,
        right_labels,
        shift,
        operating_points=operating_points,
        reliabilities=reliabilities,
    )


def statistics(
    names: Sequence[str], frequency: Sequence[str], images: Sequence[int], instances: Sequence[int]
) -> CategoryStatistics:
    """Counts of a training file."""
    counts = (torch.tensor(images), torch.tensor(instances))
    return CategoryStatistics(list(names), np.array(frequency), *counts, num_images=2000)
