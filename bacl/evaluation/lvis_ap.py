"""Average precision of the LVIS benchmark: federated, by area and by category frequency.

Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", 2019, Sec. 3. The
numbers are those of the official `lvis` package, which is the reference of the tests.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.rules import Rules
from bacl.options.ranges import Count

FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}


class LVISAveragePrecision(AveragePrecision):
    """LVIS AP and AR; AP also for rare, common and frequent categories (r, c, f).

    Rules of the benchmark: an image's best `max_detections` over all categories count. A detection
    is judged only if its category is verified to be present in, or absent from, its image; if the
    category is annotated only in part, a detection that finds nothing is ignored. Objects and
    detections of area 0 do not exist. Images without federated lists are annotated in full.

    Two deliberate differences from the official package: crowd regions are judged as COCO does
    (LVIS has none, and the package knows no crowd), and an annotation whose id is 0 can be found
    (the package takes that id for "unmatched").
    """

    def __init__(
        self,
        table: AnnotationTable,
        max_detections: Count = 300,
        frequency: Sequence[str] | np.ndarray | None = None,
        **kwargs: Any,
    ) -> None:
        """Evaluate against `table`.

        Args:
            table: ground truth.
            max_detections: detections of an image that count, over all categories. LVIS says 300.
            frequency: (C,) "r", "c" or "f" for each category; None takes the table's.
            **kwargs: see `torchmetrics.Metric`.

        Raises:
            ValueError: if a category has no frequency group, or there are not C of them.
        """
        frequency = np.asarray(table.frequency if frequency is None else frequency)
        _check_frequency(frequency, table)
        rules = Rules(max_detections, limit_per_category=False, federated=True, without_area=False)
        super().__init__(table, rules, groups_by_frequency(frequency), **kwargs)


def groups_by_frequency(frequency: Sequence[str] | np.ndarray) -> Grouping:
    """The groups of LVIS, by training images: categories that are "r", "c" and "f" in (C,)."""
    letters = np.asarray(frequency)
    groups = [CategoryGroup(key, name, letters == key) for key, name in FREQUENCIES.items()]
    return Grouping(tuple(groups), by_instances=False)


def _check_frequency(frequency: np.ndarray, table: AnnotationTable) -> None:
    if frequency.shape != (table.num_categories,):
        raise ValueError(
            f"frequency has shape {frequency.shape}; give one group for each of the "
            f"{table.num_categories} categories"
        )
    missing = np.flatnonzero(~np.isin(frequency, list(FREQUENCIES)))
    if len(missing):
        names = ", ".join(f"{table.category_names[i]!r} ({frequency[i]!r})" for i in missing[:5])
        raise ValueError(
            f"{len(missing)} categories have no frequency group: {names}; each must be 'r', 'c' or "
            "'f'. Pass frequency=, for instance the training annotations' groups"
        )
