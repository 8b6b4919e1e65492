"""Overlap of masks by which their outlines count as much as their areas.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021,
Sec. 5: boundary AP is AP with the lower of mask IoU and boundary IoU, the latter of the pixels of
each mask within a distance of its outline, 2 % of the image's diagonal.
"""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import RunLengths
from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.truth import GroundTruth

RATIO = 0.02
"""Distance from the outline over the image's diagonal, as published for COCO and LVIS."""


@dataclass(slots=True, frozen=True)
class Boundary:
    """The pixels of a mask that are near to its outline."""

    top: int
    left: int
    pixels: np.ndarray
    """(h, w) bool, in the mask's own box, whose corner is (left, top)."""

    @classmethod
    def of(cls, mask: np.ndarray, ratio: float = RATIO) -> "Boundary":
        """Of a mask (H, W) in the size of its image; beyond the image there is no mask.

        The distance is rounded and at least 1 pixel; it is the larger one of those along x and y.
        """
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not len(rows):
            return cls(0, 0, np.zeros((0, 0), bool))
        distance = max(1, round(ratio * float(np.hypot(*mask.shape))))
        own = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(bool)
        return cls(int(rows[0]), int(columns[0]), own & ~_eroded(own, distance))

    def common(self, other: "Boundary") -> int:
        """How many pixels both have."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        first, second = (
            each.pixels[top - each.top :, left - each.left :] for each in (self, other)
        )
        height, width = np.minimum(first.shape, second.shape)
        return int((first[:height, :width] & second[:height, :width]).sum())


def boundary_overlap(
    detections: DetectionColumns, truth: GroundTruth, table: AnnotationTable, of_masks: PairOverlap
) -> PairOverlap:
    """The lower of mask IoU and boundary IoU.

    Boundaries are looked at of pairs alone whose mask IoU reaches the lowest threshold: they are
    few, and no other pair can be matched.

    Args:
        detections: with masks of the images' sizes.
        truth: of `table`.
        table: has the segmentations.
        of_masks: mask IoU, see `mask_overlap`.
    """
    masks = detections.masks
    images = np.searchsorted(table.offsets, truth.rows, side="right") - 1

    def overlap(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        iou = of_masks(detection_rows, truth_rows)
        near = np.flatnonzero(iou >= IOU_THRESHOLDS[0])
        found = {row: _boundary(masks[row]) for row in set(detection_rows[near].tolist())}
        real = {
            row: _boundary(table.run_lengths(int(images[row]), int(truth.rows[row])))
            for row in set(truth_rows[near].tolist())
        }
        for place in near.tolist():
            row = int(truth_rows[place])
            pair = (found[int(detection_rows[place])], real[row])
            iou[place] = min(iou[place], boundary_iou(*pair, bool(truth.crowd[row])))
        return iou

    return overlap


def boundary_iou(found: Boundary, real: Boundary, crowd: bool = False) -> float:
    """IoU of two boundaries of one image; with a crowd region the share of the detection's."""
    common, own = found.common(real), int(found.pixels.sum())
    union = own if crowd else own + int(real.pixels.sum()) - common
    return common / union if union else 0.0


def _boundary(code: RunLengths) -> Boundary:
    return Boundary.of(coco_mask.decode(code))


def _eroded(mask: np.ndarray, distance: int) -> np.ndarray:
    """(h, w) bool: pixels all of whose neighbours up to a distance are in the mask."""
    side = 2 * distance + 1
    sums = np.pad(mask, ((distance + 1, distance), (distance + 1, distance))).astype(np.int32)
    sums = sums.cumsum(0).cumsum(1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return inside == side * side
