"""What is odd about annotations, and which of them can be trained on.

A: annotations.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.column_files import save_column
from bacl.data.annotations.records import RecordColumns
from bacl.data.annotations.segmentation import Segmentations


@dataclass(frozen=True)
class Soundness:
    """Of all annotations of a file, sorted by image; each flag is (A,) bool."""

    boxes: np.ndarray
    """(A, 4) float64 [x, y, width, height], as in the file."""
    areas: np.ndarray
    """(A,) float64 pixels, complete."""
    crowd: np.ndarray
    ignored: np.ndarray
    degenerate: np.ndarray
    """Under a pixel wide or high, or without area."""
    outside: np.ndarray
    """No overlap with the image."""
    clipped: np.ndarray
    """More than a pixel beyond its edge."""

    @classmethod
    def of(
        cls,
        records: RecordColumns,
        sizes: np.ndarray,
        order: np.ndarray,
        segmentations: Segmentations,
    ) -> Self:
        """Look at what was read of a file.

        Args:
            records: in the order of the file.
            sizes: (A, 2) height and width of each annotation's image, sorted.
            order: (A,) that sorts records by image.
            segmentations: sorted.
        """
        boxes = np.asarray(records.boxes).reshape(-1, 4)[order]
        missing = np.zeros(len(order), dtype=bool)
        missing[np.asarray(records.without_area)] = True
        areas = np.asarray(records.areas)[order]
        _complete_areas(areas, missing[order], boxes, sizes, segmentations)
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        outside = ((high <= 0) | (low >= sizes[:, ::-1])).any(axis=1)
        return cls(
            boxes,
            areas,
            crowd=np.asarray(records.crowd, dtype=bool)[order],
            ignored=np.asarray(records.ignored, dtype=bool)[order],
            degenerate=(boxes[:, 2] < 1) | (boxes[:, 3] < 1) | (areas <= 0),
            outside=outside,
            clipped=((low < -1) | (high > sizes[:, ::-1] + 1)).any(axis=1) & ~outside,
        )

    @property
    def trainable(self) -> np.ndarray:
        """(A,) bool."""
        return ~(self.crowd | self.ignored | self.degenerate | self.outside)

    def save(self, folder: Path) -> None:
        """Write the columns that a table has of it."""
        save_column(folder, "boxes", self.boxes)
        save_column(folder, "areas", self.areas)
        save_column(folder, "ignore", self.crowd | self.ignored)
        save_column(folder, "crowd", self.crowd)
        save_column(folder, "trainable", self.trainable)

    def counts(self) -> dict[str, int]:
        """Annotations that can be trained on, and those of each odd kind."""
        kinds = ("trainable", "crowd", "ignored", "degenerate", "outside", "clipped")
        return {kind: int(getattr(self, kind).sum()) for kind in kinds}


def _complete_areas(
    areas: np.ndarray,
    missing: np.ndarray,
    boxes: np.ndarray,
    sizes: np.ndarray,
    segmentations: Segmentations,
) -> None:
    """Fill missing areas in place: pixels of the mask where there is one, else of the box."""
    areas[missing] = boxes[missing, 2].clip(min=0) * boxes[missing, 3].clip(min=0)
    for row in np.flatnonzero(missing & segmentations.present()).tolist():
        areas[row] = coco_mask.area(segmentations.run_lengths(row, *sizes[row].tolist()))
