"""Which detections lie over which objects, whatever their categories are.

G: objects. D: detections. P: pairs of a detection and an object of one image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.truth import GroundTruth

NEAR = 0.1
"""IoU from which on a detection has to do with an object at all (Bolya et al. 2020: t_b)."""
_PAIRS_AT_ONCE = 1 << 17  # bounds the memory of a block: about 10 MB


@dataclass(slots=True, frozen=True, eq=False)
class OverlappingPairs:
    """Pairs with an IoU of at least `NEAR` with objects that count (no crowd, nothing ignored)."""

    rows: np.ndarray
    """(P,) int64 in [0, D), ascending."""
    objects: np.ndarray
    """(P,) int64 in [0, G); of one detection ascending."""
    iou: np.ndarray
    """(P,) float64 in [0.1, 1]."""

    def only(self, kept: np.ndarray) -> "OverlappingPairs":
        """The pairs that `kept` (P,) bool says."""
        return OverlappingPairs(self.rows[kept], self.objects[kept], self.iou[kept])

    def closest(self, num_detections: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each detection the object with the highest IoU, the first of equals.

        Returns:
            Object (D,) int64, -1 without one, and IoU (D,) float64, 0 without.
        """
        order = np.lexsort((self.objects, -self.iou, self.rows))
        best = order[np.flatnonzero(np.diff(self.rows[order], prepend=-1))]
        objects, iou = np.full(num_detections, -1), np.zeros(num_detections)
        objects[self.rows[best]], iou[self.rows[best]] = self.objects[best], self.iou[best]
        return objects, iou


def overlapping_pairs(
    truth: GroundTruth, detections: DetectionColumns, kept: np.ndarray
) -> OverlappingPairs:
    """Look at all detections and objects of every image.

    Args:
        truth: the objects.
        detections: of images of the truth, each once.
        kept: (D,) bool, which detections are looked at.
    """
    objects = np.flatnonzero(~(truth.ignored | truth.crowd))
    owners = truth.keys[objects] // truth.num_categories
    rows = np.flatnonzero(kept)
    image = np.repeat(truth.image_index(detections.image_ids), detections.counts)[rows]
    first = np.searchsorted(owners, image, side="left")
    count = np.searchsorted(owners, image, side="right") - first
    overlap = box_overlap(detections.boxes, truth.boxes, truth.crowd)
    nothing = np.zeros(0, np.int64)
    found = [(nothing, nothing, np.zeros(0))]
    for who, what in touching(detections.boxes[rows], truth.boxes[objects], first, count):
        iou = overlap(rows[who], objects[what])
        near = np.flatnonzero(iou >= NEAR)
        found.append((rows[who[near]], objects[what[near]], iou[near]))
    return OverlappingPairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def touching(
    boxes: np.ndarray, others: np.ndarray, first: np.ndarray, count: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs whose boxes (xywh) overlap along both axes, in blocks.

    Args:
        boxes: (n, 4).
        others: (m, 4).
        first: (n,) int64, the first of `others` that a box is compared with.
        count: (n,) int64, with how many.
    """
    mine, theirs = _spans(boxes), _spans(others)
    part = np.cumsum(count) // _PAIRS_AT_ONCE
    for start, stop in pairwise([*np.flatnonzero(np.diff(part, prepend=-1)), len(count)]):
        size = count[start:stop]
        who = np.repeat(np.arange(start, stop), size)
        what = np.arange(len(who)) + np.repeat(first[start:stop] - (np.cumsum(size) - size), size)
        for (low, high), (from_, to) in zip(mine, theirs, strict=True):
            meet = np.flatnonzero((low[who] < to[what]) & (from_[what] < high[who]))
            who, what = who[meet], what[meet]
        yield who, what


def _spans(boxes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Begin and end of boxes (n, 4) xywh along x, and along y."""
    corner, size = np.split(boxes.T, 2)
    return [(low, low + extent) for low, extent in zip(corner, size, strict=True)]
