"""What an evaluation found of one variant, as a value: tables, files and pictures read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.close_look import CloseLook, close_look
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.groups import Grouping
from bacl.evaluation.measures import Measure
from bacl.evaluation.protocol import protocol
from bacl.evaluation.reliability import Reliability, reliabilities
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.shift_curve import ShiftCurve, shift_curve
from bacl.evaluation.thresholds.choosing import Chooser
from bacl.evaluation.thresholds.objectives import Objective
from bacl.evaluation.thresholds.operating_points import OperatingPoints, halves_in
from bacl.evaluation.thresholds.scored import Scored
from bacl.evaluation.truth import GroundTruth


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Of a head as it was trained, or of one with another calibration or suppression.

    C: categories.
    """

    measures: Sequence[Measure]
    values: Mapping[str, float]
    """By the measures' names, in [0, 1]; -1 where there is nothing to average."""
    per_category: Mapping[str, np.ndarray]
    """(C,) each, see `AveragePrecision.per_category`."""
    grouping: Grouping
    truth: GroundTruth
    """What was judged by."""
    part: str
    """Of the images, where not all were judged, such as "40 of 617 images"; otherwise empty."""
    detections: DetectionColumns
    """In the images that were asked for."""
    right_labels: RightLabels | None = None
    """Which objects have their right label."""
    shift: ShiftCurve | None = None
    """The same over a shift of scores, where that was asked for."""
    close_look: CloseLook | None = None
    """At each category, where that was asked for."""
    errors: ErrorFindings | None = None
    """What went wrong, where that was asked for."""
    operating_points: OperatingPoints | None = None
    """Thresholds of scores, where they were asked for."""
    reliabilities: Mapping[str, Reliability] | None = None
    """Whether scores are probabilities: of all categories ("all"), of each group by its key."""
    protocol: str = ""
    """How it was measured, see `protocol`; where that is known."""
    unrounded: Mapping[str, float] | None = None
    """`values` in double precision; where they are known."""

    @classmethod
    def of(
        cls,
        metric: AveragePrecision,
        truth: GroundTruth,
        image_counts: np.ndarray,
        image_ids: Sequence[int] | None = None,
        shifted: bool = True,
        closer: bool = False,
        errors: Callable[..., ErrorFindings] | None = None,
        objective: Objective | None = None,
    ) -> Self:
        """What a metric found in all that it was given; every process must call it.

        Args:
            metric: of the variant.
            truth: of the metric's table and rules; variants share it.
            image_counts: (C,) training images of each category.
            image_ids: whose detections are kept; None keeps all.
            shifted: whether scores are shifted, too.
            closer: whether categories are looked at more closely, too.
            errors: `ErrorFindings.of` with its options, where errors are looked at, too.
            objective: of the thresholds of scores; None chooses none.

        Raises:
            OptionError: the objective names a group or a category that there is not.
        """
        values = {name: float(value) for name, value in metric.compute().items()}
        found = metric.detections()
        judged = truth.only(found.image_ids) if metric.part else truth
        curve = (judged, found, metric.rules, metric.grouping, image_counts)
        scored = Scored.of(metric.verdicts, judged)
        return cls(
            metric.measures,
            values,
            metric.per_category(),
            metric.grouping,
            truth,
            metric.part,
            found if image_ids is None else found.only(np.isin(found.image_ids, image_ids)),
            metric.right_labels,
            shift_curve(*curve) if shifted else None,
            close_look(found, metric.verdicts) if closer else None,
            errors(judged, found, metric.rules, metric.verdicts) if errors else None,
            _operating_points(metric, scored, judged, found, objective),
            reliabilities(scored, metric.grouping),
            protocol(metric.table, metric.rules),
            metric.unrounded,
        )


def _operating_points(
    metric: AveragePrecision,
    scored: Scored,
    truth: GroundTruth,
    found: DetectionColumns,
    objective: Objective | None,
) -> OperatingPoints | None:
    """Thresholds by the images that a metric judged; none without an objective."""
    if objective is None:
        return None
    halves = halves_in(truth, found.image_ids if metric.part else truth.image_ids)
    chooser = Chooser(objective, metric.grouping, metric.table.category_names)
    return OperatingPoints.of(scored, halves, chooser)
