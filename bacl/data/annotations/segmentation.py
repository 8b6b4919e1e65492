"""Segmentations in columns: polygon points and run-length codes, packed end to end in file order.

An annotation owns `polygon_count` consecutive polygons from `polygon_first` on, or the run-length
mask number `code` (-1: none), or nothing. A polygon is (x1, y1, x2, y2, …) in pixels, float64 so
that masks equal those of the original file to the pixel. A run-length mask is kept in COCO's
compressed form, whatever form the file has.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.column_files import Ragged, open_column


class Segmentations:
    """The segmentations of a finished table folder, in the table's order of annotations."""

    def __init__(self, folder: Path) -> None:
        self._first = open_column(folder, "polygon_first")
        self._count = open_column(folder, "polygon_count")
        self._code = open_column(folder, "code")
        self._points, self._codes = Ragged(folder, "points"), Ragged(folder, "codes")
        self._code_sizes = open_column(folder, "code_sizes")

    def present(self) -> np.ndarray:
        """(A,) bool: which annotations have a segmentation."""
        return (self._count > 0) | (self._code >= 0)

    def rectangles(self) -> np.ndarray:
        """(A,) bool: which annotations have one polygon that is an upright rectangle."""
        lengths, alone = np.diff(self._points.offsets), np.flatnonzero(self._count == 1)
        alone = alone[lengths[self._first[alone]] == 8] if len(lengths) else alone[:0]
        starts = self._points.offsets[self._first[alone]]
        points = self._points.values[starts[:, None] + np.arange(8)].reshape(-1, 4, 2)
        low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
        found = np.zeros(len(self._count), dtype=bool)
        found[alone] = ((points == low) | (points == high)).all(axis=(1, 2))
        return found

    def polygons(self, row: int) -> list[np.ndarray]:
        """Polygons of annotation `row`, each (P, 2) float64 x and y in pixels; views, no copies."""
        first = self._first[row]
        return [
            self._points[polygon].reshape(-1, 2)
            for polygon in range(first, first + self._count[row])
        ]

    def run_lengths(self, row: int, height: int, width: int) -> dict[str, Any] | None:
        """The mask of annotation `row` as a compressed COCO run-length object, or None."""
        if self._code[row] >= 0:
            code = int(self._code[row])
            return {"size": self._code_sizes[code].tolist(), "counts": self._codes[code].tobytes()}
        polygons = [polygon.ravel().tolist() for polygon in self.polygons(row)]
        if not polygons:
            return None
        return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
