"""What became of each annotated object: called by its name, by another's, or not found.

G: objects that count. D: detections. C: categories.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.errors.overlapping_pairs import OverlappingPairs
from bacl.evaluation.truth import GroundTruth

NONE = -1
"""In place of a label: no detection."""


class ObjectFate(IntEnum):
    """Of all detections that count, whatever their scores are; the first that holds.

    The best detection over an object is that of the right label (`right_label.right_labels`): of
    the highest score among those with an IoU of at least 0.5, whatever their category, but for
    those that cannot be judged there. So the share of right objects is the right label's.
    """

    RIGHT = 0
    """The best detection over it has its category."""
    WRONG_CATEGORY = 1
    """The best detection over it has another one."""
    BADLY_LOCALISED = 2
    """No detection is over it, but one of its category has an IoU in [0.1, 0.5)."""
    MISSED = 3
    """Neither."""


@dataclass(slots=True, frozen=True, eq=False)
class ObjectFates:
    """Of every object that counts (any area; no crowd, nothing ignored), by image."""

    rows: np.ndarray
    """(G,) int64 in the truth."""
    images: np.ndarray
    """(G,) int64, positions in `GroundTruth.image_ids`, ascending."""
    labels: np.ndarray
    """(G,) int64 in [0, C)."""
    fates: np.ndarray
    """(G,) uint8, an `ObjectFate`."""
    found: np.ndarray
    """(G,) int64, label of the best detection over it; `NONE` without one."""
    scores: np.ndarray
    """(G,) float64, that one's score; 0 without."""
    unjudged: np.ndarray
    """(G,) bool: a detection that cannot be judged is over it and scores higher."""


def object_fates(
    truth: GroundTruth, detections: DetectionColumns, keys: np.ndarray, pairs: OverlappingPairs
) -> ObjectFates:
    """Tell what became of each object.

    Args:
        truth: the objects.
        detections: of its images.
        keys: (D,) int64, of the detections' categories in their images.
        pairs: of all detections that count by the rules, verified or not.
    """
    objects = np.flatnonzero(~(truth.ignored | truth.crowd))
    images, labels = np.divmod(truth.keys[objects], truth.num_categories)
    own = detections.labels[pairs.rows] == truth.labels[pairs.objects]
    pair_keys = keys[pairs.rows]
    judged = truth.evaluated(pair_keys) & (truth.exhaustive(pair_keys) | own)
    over = pairs.iou >= IOU_THRESHOLDS[0]
    size = len(truth.keys)
    best = _best(pairs.only(over & judged), detections.scores, size)[objects]
    top = _best(pairs.only(over), detections.scores, size)[objects]
    found = np.where(best >= 0, detections.labels[best], NONE) if len(keys) else best
    scores = np.where(best >= 0, detections.scores[best], 0.0) if len(keys) else np.zeros(len(best))
    beside = np.zeros(size, bool)
    beside[pairs.objects[own & ~over]] = True
    fates = np.select(
        [(best >= 0) & (found == labels), best >= 0, beside[objects]],
        [ObjectFate.RIGHT, ObjectFate.WRONG_CATEGORY, ObjectFate.BADLY_LOCALISED],
        ObjectFate.MISSED,
    ).astype(np.uint8)
    return ObjectFates(objects, images, labels, fates, found, scores, top != best)


def _best(pairs: OverlappingPairs, scores: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64, each object's best-scored detection, the first of equals; -1 without."""
    order = np.lexsort((pairs.rows, -scores[pairs.rows], pairs.objects))
    first = order[np.flatnonzero(np.diff(pairs.objects[order], prepend=-1))]
    best = np.full(size, -1)
    best[pairs.objects[first]] = pairs.rows[first]
    return best
