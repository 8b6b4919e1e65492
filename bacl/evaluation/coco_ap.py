"""Average precision of the COCO benchmark, and of groups of categories by training instances.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. The numbers are those of
`pycocotools`, which is the reference of the tests. COCO-LT (Wang et al., "The Devil Is in
Classification", ECCV 2020) reports them for groups of categories (Tab. XV).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Protocol

import numpy as np
from annotated_types import Len

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.rules import Rules
from bacl.options.ranges import Ascending, Count


class InstanceCounts(Protocol):
    """What the groups need of the training annotations: `bacl.data.CategoryStatistics` has it."""

    instance_counts: Any
    """(C,) integer array or tensor: training objects of each category, by ascending id."""


class COCOAveragePrecision(AveragePrecision):
    """COCO AP and AR; AP also for groups of categories, AP1 (fewest instances) and on.

    Rules of the benchmark: the best `max_detections` of each category of an image count, and every
    image is annotated in full: federated lists, where the file has any, are not looked at.

    One deliberate difference from pycocotools: what is flagged `ignore` without being a crowd
    excuses a detection, where pycocotools overwrites the flag. COCO flags nothing so.
    """

    def __init__(
        self,
        table: AnnotationTable,
        statistics: InstanceCounts,
        boundaries: Annotated[Sequence[Count], Len(1), Ascending],
        max_detections: Count = 100,
        **kwargs: Any,
    ) -> None:
        """Evaluate against `table`.

        Args:
            table: ground truth.
            statistics: of the training annotations, whose categories are those of `table`.
            boundaries: ascending instance counts; the n-th group has fewer than the n-th of them,
                the last group at least the last of them.
            max_detections: detections of each category of an image that count. COCO says 100.
            **kwargs: see `torchmetrics.Metric`.

        Raises:
            ValueError: the statistics count other categories than the table has.
        """
        counts = np.asarray(statistics.instance_counts)
        if counts.shape != (table.num_categories,):
            raise ValueError(
                f"the statistics count {len(counts)} categories, {table.source} has "
                f"{table.num_categories}: take those of the annotations that were trained on"
            )
        rules = Rules(max_detections, limit_per_category=True, federated=False, without_area=True)
        super().__init__(table, rules, groups_by_count(counts, boundaries), **kwargs)


def groups_by_count(counts: np.ndarray, boundaries: Sequence[int]) -> Grouping:
    """The categories (C,) with counts below the first boundary, the second, and above all.

    >>> [group.name for group in groups_by_count(np.array([3, 20, 900]), [20, 400]).groups]
    ['1 (under 20)', '2 (20 to 399)', '3 (400 and more)']
    """
    position = np.searchsorted(np.asarray(boundaries), counts, side="right")
    ranges = [
        *[f"under {high:,}" for high in boundaries[:1]],
        *[f"{low:,} to {high - 1:,}" for low, high in pairwise(boundaries)],
        f"{[0, *boundaries][-1]:,} and more",
    ]
    groups = [
        CategoryGroup(str(number + 1), f"{number + 1} ({text})", position == number)
        for number, text in enumerate(ranges)
    ]
    return Grouping(tuple(groups), by_instances=True)
