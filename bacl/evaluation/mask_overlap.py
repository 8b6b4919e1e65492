"""IoU of detections' masks with annotated masks, by pycocotools."""

from itertools import pairwise

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.truth import GroundTruth


def mask_overlap(
    detections: DetectionColumns, truth: GroundTruth, table: AnnotationTable
) -> PairOverlap:
    """IoU of masks; the annotations' are made of their polygons where they are asked for.

    Args:
        detections: with masks of the images' sizes.
        truth: of `table`.
        table: has the segmentations; an object without one has its box as mask.
    """
    masks = detections.masks
    images = np.searchsorted(table.offsets, truth.rows, side="right") - 1

    def of_key(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        # Pairs of one category and image: every detection with every object, which lie together.
        # For crowd regions pycocotools gives the share of the detection that lies within.
        objects = truth_rows[: truth_rows[-1] - truth_rows[0] + 1]
        found = [masks[row] for row in detection_rows[:: len(objects)]]
        real = [table.run_lengths(images[row], int(truth.rows[row])) for row in objects]
        crowd = truth.crowd[objects].astype(np.uint8).tolist()
        return coco_mask.iou(found, real, crowd).ravel()

    def overlap(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        starts = np.flatnonzero(np.diff(truth.keys[truth_rows], prepend=-1))
        return np.concatenate(
            [
                of_key(detection_rows[start:stop], truth_rows[start:stop])
                for start, stop in pairwise([*starts, len(truth_rows)])
            ]
        )

    return overlap
