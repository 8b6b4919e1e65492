"""From ranked detections to precision at 101 recalls and final recall.

T: IoU thresholds. R: recalls. C: categories. A: area ranges. N: evaluated detections.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.curves import Curves

RECALLS = np.linspace(0.0, 1.0, 101)
_EVERY = np.uint16((1 << len(IOU_THRESHOLDS)) - 1)


def accumulate(
    labels: np.ndarray, right: np.ndarray, wrong: np.ndarray, num_objects: np.ndarray
) -> Curves:
    """Curves of ranked detections.

    Args:
        labels: (N,) in [0, C), ascending; within a category, best detection first.
        right: (N,) unsigned, bit (range * T + threshold) is set for a true positive.
        wrong: (N,) unsigned, the same for a false positive; ignored detections have neither.
        num_objects: (C, A) int64, objects that count.
    """
    num_categories, num_ranges = num_objects.shape
    # In memory the precisions of a category lie side by side, as they are made and averaged.
    precision = np.zeros((num_ranges, len(IOU_THRESHOLDS), num_categories, len(RECALLS)))
    recall = np.full(precision.shape[:-1], -1.0)
    starts = _starts(labels, num_categories)
    for area, objects in enumerate(num_objects.T):
        present = objects > 0
        ranked = _Ranked.of(labels, starts, *(words_of(each, area) for each in (right, wrong)))
        for threshold in range(len(IOU_THRESHOLDS)):
            label, false = ranked.hits(threshold)
            found = _curve(label, false, objects, precision[area, threshold])
            recall[area, threshold, present] = found[present] / objects[present]
        precision[area, :, ~present] = -1.0
    return Curves(precision.transpose(1, 3, 2, 0), recall.transpose(1, 2, 0))


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
    hits, starts = np.flatnonzero(right), _starts(labels, len(num_objects))
    precision = np.zeros((len(num_objects), len(RECALLS)))
    _curve(labels[hits], _count(wrong, starts, hits, labels[hits]), num_objects, precision)
    return np.where(num_objects > 0, precision.mean(1), -1.0)


@dataclass(slots=True, frozen=True)
class _Ranked:
    """Of one area range: n of the detections, those that are not the same at all thresholds.

    Most find no object and are wrong whatever the threshold is. They are counted once, and not for
    each threshold again.
    """

    labels: np.ndarray
    """(n,) in [0, C), ascending."""
    starts: np.ndarray
    """(C,) int64, where those of each category begin."""
    right: np.ndarray
    """(n,) uint16, a bit for each threshold."""
    wrong: np.ndarray
    """(n,) uint16, likewise, of those that are not wrong at every threshold."""
    others: np.ndarray
    """(n,) int32: up to here, how many of the category are wrong at every threshold."""

    @classmethod
    def of(
        cls, labels: np.ndarray, starts: np.ndarray, right: np.ndarray, wrong: np.ndarray
    ) -> "_Ranked":
        """Of the words (N,) uint16 of all detections; `starts` of the categories among them."""
        always = wrong == _EVERY
        which = np.flatnonzero((right != 0) | ((wrong != 0) & ~always))
        own = labels[which]
        others = _count(always, starts, which, own)
        partly = np.where(always[which], np.uint16(0), wrong[which])
        return cls(own, _starts(own, len(starts)), right[which], partly, others)

    def hits(self, threshold: int) -> tuple[np.ndarray, np.ndarray]:
        """(h,) label of every true positive, and false positives of its category before it."""
        right, wrong = (((each >> threshold) & 1).astype(bool) for each in (self.right, self.wrong))
        hits = np.flatnonzero(right)
        label = self.labels[hits]
        return label, self.others[hits] + _count(wrong, self.starts, hits, label)


def words_of(words: np.ndarray, area: int = 0) -> np.ndarray:
    """(N,) uint16: the bits of an area range (0: all areas), one for each threshold."""
    found, shift = np.empty(len(words), np.uint16), words.dtype.type(area * len(IOU_THRESHOLDS))
    np.right_shift(words, shift, out=found, casting="unsafe")  # the low bits alone
    found &= _EVERY
    return found


def _starts(labels: np.ndarray, num_categories: int) -> np.ndarray:
    """(C,) int64, where the detections of each category begin."""
    return np.searchsorted(labels, np.arange(num_categories))


def _count(
    flags: np.ndarray, starts: np.ndarray, which: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """(n,) int32: how many are flagged of the same category, from its first to each of `which`.

    Args:
        flags: (N,) bool.
        starts: (C,) int64, where each category begins.
        which: (n,) int64 in [0, N).
        labels: (n,) their categories.
    """
    count = np.zeros(len(flags) + 1, np.int32)
    np.cumsum(flags, out=count[1:])
    return count.take(which + 1) - count.take(starts).take(labels)


def _curve(
    labels: np.ndarray, false: np.ndarray, objects: np.ndarray, precision: np.ndarray
) -> np.ndarray:
    """(C,) int64, true positives of each category; writes its curve.

    Precision rises only at a true positive, so that its maximum from some recall on is a maximum
    over true positives, which are few. Each enters the highest of the R recalls that it reaches;
    the running maximum from the right does the rest.

    Args:
        labels: (h,) of the true positives, ascending; within a category, best first.
        false: (h,) integers, false positives of the category up to each.
        objects: (C,) int64, those that count.
        precision: (C, R), zeros, which become the curves.
    """
    found = np.bincount(labels, minlength=len(objects))
    true = np.arange(1, len(labels) + 1) - (np.cumsum(found) - found)[labels]
    values = true / (false + true + np.spacing(1))  # the official rounding, 1 - 2e-16 included
    reached = _reached(true / objects[labels])
    cells = labels * np.int64(len(RECALLS)) + reached
    first = np.flatnonzero(np.diff(cells, prepend=-1))  # they are in order
    if len(first):
        precision.ravel()[cells[first]] = np.maximum.reduceat(values, first)
    from_right = precision[:, ::-1]
    np.maximum.accumulate(from_right, axis=1, out=from_right)
    return found


def _reached(recalls: np.ndarray) -> np.ndarray:
    """(h,) int64 in [0, R): the highest of `RECALLS` that is not above each; for more than 1, 1.

    Those are so close to hundredths that the neighbours of a rounded one are all that can be meant.
    """
    last = len(RECALLS) - 1
    nearest = np.rint(np.minimum(recalls, 1.0) * last).astype(np.int64)
    return nearest - (RECALLS[nearest] > recalls)
