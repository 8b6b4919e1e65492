"""Precision at 101 recalls and final recall, of every category under every condition.

T: IoU thresholds. R: recalls. C: categories. A: area ranges. N: evaluated detections.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.object_matching import AREA_RANGES, IOU_THRESHOLDS

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(slots=True, frozen=True)
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
        precision = self.precision[_threshold(iou), :, :, list(AREA_RANGES).index(area)]
        return _mean(precision if categories is None else precision[..., categories])

    def average_recall(self, area: str = "all") -> float:
        """Mean over thresholds and categories that have objects; -1 if none has."""
        return _mean(self.recall[..., list(AREA_RANGES).index(area)])

    def per_category(self) -> dict[str, np.ndarray]:
        """(C,) arrays AP, AP50 and recall (mean over thresholds), all areas; -1 without objects."""
        precision = self.precision[..., 0].mean(1)
        return {
            "AP": precision.mean(0),
            "AP50": precision[0],
            "recall": self.recall[..., 0].mean(0),
        }


def accumulate(
    labels: np.ndarray, right: np.ndarray, wrong: np.ndarray, num_objects: np.ndarray
) -> Curves:
    """Curves of ranked detections.

    Args:
        labels: (N,) in [0, C), ascending; within a category, best detection first.
        right: (N,) uint64, bit (range * T + threshold) is set for a true positive.
        wrong: (N,) uint64, the same for a false positive; ignored detections have neither.
        num_objects: (C, A) int64, objects that count.
    """
    num_categories, num_ranges = num_objects.shape
    num_thresholds = len(IOU_THRESHOLDS)
    shape = (num_thresholds, len(RECALLS), num_categories, num_ranges)
    precision, recall = np.full(shape, -1.0), np.full((shape[0], *shape[2:]), -1.0)
    starts = _starts(labels, num_categories)
    for area in range(num_ranges):
        objects = num_objects[:, area]
        present = objects > 0
        for threshold in range(num_thresholds):
            bit = np.uint64(area * num_thresholds + threshold)
            hits = np.flatnonzero((right >> bit) & np.uint64(1))
            false = np.cumsum((wrong >> bit) & np.uint64(1), dtype=np.int64)
            curve, found = _curve(labels, starts, hits, false, objects)
            precision[threshold, :, present, area] = curve[present]
            recall[threshold, present, area] = found[present] / objects[present]
    return Curves(precision, recall)


def average_precisions(
    labels: np.ndarray, right: np.ndarray, wrong: np.ndarray, num_objects: np.ndarray
) -> np.ndarray:
    """(C,) float64, AP of each category under a single condition; -1 without objects.

    Args:
        labels: (N,) in [0, C), ascending; within a category, best detection first.
        right: (N,) bool, true positives.
        wrong: (N,) bool, false positives; ignored detections are neither.
        num_objects: (C,) int64, objects that count.
    """
    false = np.cumsum(wrong, dtype=np.int64)
    starts = _starts(labels, len(num_objects))
    curve, _ = _curve(labels, starts, np.flatnonzero(right), false, num_objects)
    return np.where(num_objects > 0, curve.mean(1), -1.0)


def _starts(labels: np.ndarray, num_categories: int) -> np.ndarray:
    """(C,) int64, where the detections of each category begin."""
    return np.searchsorted(labels, np.arange(num_categories))


def _curve(
    labels: np.ndarray, starts: np.ndarray, hits: np.ndarray, false: np.ndarray, objects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (C, R) and number of true positives (C,) of one condition.

    Precision rises only at a true positive, so that its maximum from some recall on is a maximum
    over true positives, which are few. Each enters the highest of the R recalls that it reaches;
    the running maximum from the right does the rest.
    """
    num_categories, num_recalls = len(starts), len(RECALLS)
    label = labels[hits]
    found = np.bincount(label, minlength=num_categories)
    true = np.arange(1, len(hits) + 1) - (np.cumsum(found) - found)[label]
    false_before = np.append(false, 0)[starts - 1]  # starts 0 reads the appended 0
    false_here = false[hits] - false_before[label]
    values = true / (false_here + true + np.spacing(1))  # the official rounding, 1 - 2e-16 included
    cell = label * num_recalls + np.searchsorted(RECALLS, true / objects[label], side="right") - 1
    best = np.zeros(num_categories * num_recalls)
    np.maximum.at(best, cell, values)
    from_right = best.reshape(num_categories, num_recalls)[:, ::-1]
    return np.maximum.accumulate(from_right, axis=1)[:, ::-1], found


def _threshold(iou: float | None) -> slice:
    if iou is None:
        return slice(None)
    index = int(np.abs(IOU_THRESHOLDS - iou).argmin())
    return slice(index, index + 1)


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
