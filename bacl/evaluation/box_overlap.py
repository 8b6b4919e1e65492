"""Overlap of detections with objects: that of boxes, and what that of masks looks like.

N: detections. G: objects. P: pairs of a detection and an object of the same category and image.
"""

from collections.abc import Callable

import numpy as np

PairOverlap = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""IoU (P,) float64 of detection rows (P,) with truth rows (P,): positions in `DetectionColumns` and
in `GroundTruth`. Masks are evaluated by another function of this shape."""

_BOXES_AT_ONCE = 1 << 14  # what is made of them stays in the caches of a processor


def box_overlap(detections: np.ndarray, truths: np.ndarray, crowd: np.ndarray) -> PairOverlap:
    """IoU of boxes, xywh float64, with the operations and so the rounding of the COCO tools.

    For `crowd` regions, (G,) bool, it is the share of the detection that lies within the region.
    """

    def overlap(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        found = np.empty(len(truth_rows))
        for first in range(0, len(found), _BOXES_AT_ONCE):
            part = slice(first, first + _BOXES_AT_ONCE)
            found[part] = some(detection_rows[part], truth_rows[part])
        return found

    def some(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        # Column by column in memory: arithmetic on every fourth number takes twice as long.
        dx, dy, dw, dh = np.ascontiguousarray(detections.take(detection_rows, axis=0).T)
        tx, ty, tw, th = np.ascontiguousarray(truths.take(truth_rows, axis=0).T)
        width = np.minimum(dx + dw, tx + tw) - np.maximum(dx, tx)
        height = np.minimum(dy + dh, ty + th) - np.maximum(dy, ty)
        common = np.maximum(width, 0) * np.maximum(height, 0)
        near = np.flatnonzero(common > 0)
        own, other = (dw * dh)[near], (tw * th)[near]
        union = np.where(crowd[truth_rows[near]], own, own + other - common[near])
        common[near] /= union
        return common

    return overlap
