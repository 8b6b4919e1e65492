"""A closer look at each category: its precision and recall over thresholds, and its extremes.

Right and wrong are as in AP50: an IoU of at least 0.5, by the rules of the benchmark. What cannot
be judged is neither.

N: judged detections. C: categories. P: points. K: cases.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.object_matching import rank_in_run
from bacl.evaluation.verdicts import Verdicts

GROWTH = 1.5
"""Of the number of detections from one point of a curve to the next."""
CASES = 4
"""Of a category that are right, and as many that are wrong, each in another image."""
_HALF = np.uint64(1)  # IoU 0.5, any area: the first bit of a verdict


@dataclass(slots=True, frozen=True, eq=False)
class ThresholdCurves:
    """What detections from some score on would be; category after category, scores descending."""

    labels: np.ndarray
    """(P,) in [0, C), ascending."""
    scores: np.ndarray
    """(P,) float64, the threshold: detections with this score are among them."""
    precision: np.ndarray
    """(P,) in [0, 1], of the judged detections."""
    recall: np.ndarray
    """(P,) in [0, 1], of the objects that count."""


@dataclass(slots=True, frozen=True, eq=False)
class Cases:
    """The surest detections that are right, and the surest that are wrong."""

    image_ids: np.ndarray
    """(K,) int64."""
    boxes: np.ndarray
    """(K, 4) float64 xywh in pixels of the file."""
    labels: np.ndarray
    """(K,) in [0, C)."""
    scores: np.ndarray
    """(K,) float64."""
    right: np.ndarray
    """(K,) bool."""
    ranks: np.ndarray
    """(K,) int64, among the right or the wrong ones of the category, the surest is 0."""


@dataclass(slots=True, frozen=True, eq=False)
class CloseLook:
    """Of one variant."""

    curves: ThresholdCurves
    cases: Cases


def close_look(detections: DetectionColumns, found: Verdicts) -> CloseLook:
    """Look at detections, with the verdicts on their boxes."""
    return CloseLook(threshold_curves(found), _cases(detections, found))


def threshold_curves(found: Verdicts) -> ThresholdCurves:
    """Precision and recall from the first detection on, then from scores with half as many more.

    Equal scores go together: no threshold tells them apart. The lowest score is always there;
    categories without objects are not.
    """
    labels, scores = found.labels, found.scores
    right, wrong = _up_to(labels, found.right), _up_to(labels, found.wrong)
    changes = np.diff(labels, append=-1) != 0
    last = np.flatnonzero(changes | (np.diff(scores, append=-1) != 0))
    last = last[(found.num_objects[labels[last], 0] > 0) & (right[last] + wrong[last] > 0)]
    size = np.log(1 + last - np.searchsorted(labels, labels[last])) // np.log(GROWTH)
    grown = np.diff(size * found.num_objects.shape[0] + labels[last], prepend=-1) != 0
    kept = last[grown | changes[last]]
    precision = right[kept] / (right[kept] + wrong[kept])
    recall = right[kept] / found.num_objects[labels[kept], 0]
    return ThresholdCurves(labels[kept], scores[kept], precision, recall)


def _up_to(labels: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """(N,) int64: of the same category, how many up to each have the bit of IoU 0.5."""
    total = np.cumsum(bits & _HALF, dtype=np.int64)
    opens = np.searchsorted(labels, labels)
    return total - np.append(0, total)[opens]


def _cases(detections: DetectionColumns, found: Verdicts) -> Cases:
    image = np.repeat(np.arange(len(detections.counts)), detections.counts)[found.rows]
    right = (found.right & _HALF) != 0
    wrong = (found.wrong & _HALF) != 0
    picked = [_surest(found.labels, image, which) for which in (right, wrong)]
    rows = np.concatenate(picked)
    own = found.rows[rows]
    return Cases(
        detections.image_ids[image[rows]],
        detections.boxes[own],
        found.labels[rows],
        found.scores[rows],
        right[rows],
        np.concatenate([rank_in_run(np.diff(found.labels[r], prepend=-1) != 0) for r in picked]),
    )


def _surest(labels: np.ndarray, image: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Of these detections, each category's best in each of the first few images, in order."""
    rows = np.flatnonzero(which)
    keys = labels[rows].astype(np.int64) * (int(image.max(initial=0)) + 1) + image[rows]
    rows = rows[np.sort(np.unique(keys, return_index=True)[1])]
    return rows[rank_in_run(np.diff(labels[rows], prepend=-1) != 0) < CASES]
