"""Precision at 101 recalls and final recall, of every category under every condition.

T: IoU thresholds. R: recalls. C: categories. A: area ranges.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bacl.evaluation.conditions import AREA_RANGES, IOU_THRESHOLDS


@dataclass(frozen=True, eq=False)
class Curves:
    """What every average is taken over; -1 where a category has no object that counts."""

    precision: np.ndarray
    """(T, R, C, A) float64: best precision from this recall on; 0 where it is not reached."""
    recall: np.ndarray
    """(T, C, A) float64: recall with all detections."""

    @property
    def every_area(self) -> "Curves":
        """Those of all areas alone."""
        return Curves(self.precision[..., :1], self.recall[..., :1])

    def average_precision(
        self,
        categories: np.ndarray | None = None,
        iou: float | None = None,
        area: str = "all",
    ) -> float:
        """Mean over categories (a (C,) bool mask) that have objects; -1 if none has."""
        precision = self._of_categories[_threshold(iou), :, list(AREA_RANGES).index(area)]
        return _mean(precision if categories is None else precision[:, categories])

    def average_recall(self, area: str = "all") -> float:
        """Mean over thresholds and categories that have objects; -1 if none has."""
        return _mean(self.recall[..., list(AREA_RANGES).index(area)])

    def per_category(self) -> dict[str, np.ndarray]:
        """(C,) arrays AP, AP50 and recall (mean over thresholds), all areas; -1 without objects."""
        precision = self._of_categories[..., 0]
        return {
            "AP": precision.mean(0),
            "AP50": precision[0],
            "recall": self.recall[..., 0].mean(0),
        }

    @cached_property
    def _of_categories(self) -> np.ndarray:
        """(T, C, A) float64, the mean over the recalls; -1 without objects."""
        return self.precision.mean(axis=1)


def _threshold(iou: float | None) -> slice:
    if iou is None:
        return slice(None)
    index = int(np.abs(IOU_THRESHOLDS - iou).argmin())
    return slice(index, index + 1)


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
