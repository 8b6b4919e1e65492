"""Judging detections by a benchmark's rules: the curves that averages are taken over.

D: detections. C: categories.
"""

from dataclasses import dataclass, replace

import numpy as np

from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.curves import Curves
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.finding_verdicts import find_verdicts
from bacl.evaluation.groups import Grouping
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts


@dataclass(slots=True, frozen=True)
class Judgement:
    """What was found of boxes or of masks; C: categories."""

    curves: Curves
    fitting: Curves | None
    """At `Rules.fitting_limit`, all areas alone; None where there is no such limit."""
    pool: Curves
    """All areas; of all detections together, and of those of each group: see `Verdicts.pooled`."""
    fixed: Curves
    """All areas; see `Verdicts.at_fixed_limit`. Images have no limit here."""
    num_objects: np.ndarray
    """(C,) int64, objects that count, of any area."""
    num_detections: np.ndarray
    """(C,) int64, detections among the best of their images, judged or not."""
    verdicts: Verdicts
    """That all curves are drawn from: what is to be said of every detection."""


def judge(
    truth: GroundTruth,
    detections: DetectionColumns,
    areas: np.ndarray,
    overlap: PairOverlap,
    rules: Rules,
    grouping: Grouping,
) -> Judgement:
    """Judge the boxes or masks of `detections`, each image of which occurs once.

    Args:
        truth: the objects.
        detections: of all images.
        areas: (D,) float64 of what is judged.
        overlap: IoU of what is judged.
        rules: of the benchmark.
        grouping: the categories in groups.
    """
    found = find_verdicts(truth, detections, areas, overlap, rules)
    members = np.stack([group.members for group in grouping.groups])
    curves, most = found.curves(), int(detections.counts.max(initial=0))
    if most > rules.max_detections:
        unlimited = replace(rules, max_detections=most)
        fixed = find_verdicts(truth, detections, areas, overlap, unlimited).at_fixed_limit()
    else:  # of most passes all detections count, so that nothing is to be done
        fixed = curves.every_area if found.foremost is None else found.at_fixed_limit()
    return Judgement(
        curves,
        found.at_fitting_limit(),
        found.pooled(members),
        fixed,
        found.num_objects[:, 0],
        found.num_detections,
        found,
    )
