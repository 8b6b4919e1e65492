"""From the segmentations of a file to columns (`bacl.data.annotations.segmentation`)."""

from array import array
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.column_files import ColumnWriter, save_column
from bacl.data.annotations.run_lengths import decoded_runs
from bacl.data.annotations.validation import FARTHEST, NUMBERS, AnnotationError
from bacl.messages.shown import written

LONGEST = 4 * FARTHEST
"""Pixels around a polygon: pycocotools takes room for each, and crashes where there is none."""
_FORM = "expected a list of polygons [x1, y1, x2, y2, …] or a run-length object"


class SegmentationWriter:
    """Packs the segmentations of a file, one `append` per annotation in file order; a context."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.folder, self.file = folder, file
        self.dropped_polygons = 0
        """Polygons of fewer than three points, which enclose nothing."""
        self.polygon_first, self.polygon_count = array("q"), array("i")
        self.code = array("i")
        self.code_owner, self.code_height, self.code_width = array("q"), array("i"), array("i")
        self._lengths, self._owners = array("q"), array("q")  # of polygons that wait
        self._stack = ExitStack()
        self._points, self._point_ends = (
            self._column("points", "d", self._check_points),
            self._column("points_offsets", "q"),
        )
        self._codes, self._code_ends = (
            self._column("codes", "B"),
            self._column("codes_offsets", "q"),
        )
        self._point_ends.waiting.append(0)
        self._code_ends.waiting.append(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.__exit__(*failure)

    def append(self, segmentation: object) -> None:
        """Pack the segmentation of the next annotation: polygons, a run-length object, or None."""
        first = len(self._point_ends) - 1
        number = len(self.polygon_first)
        code = -1
        if isinstance(segmentation, list):
            for polygon in segmentation:
                self._polygon(number, polygon)
        elif isinstance(segmentation, dict):
            code = self._run_lengths(number, segmentation)
        elif segmentation is not None:
            raise self._error(number, f"{written(segmentation)}, {_FORM}")
        self.polygon_first.append(first)
        self.polygon_count.append(len(self._point_ends) - 1 - first)
        self.code.append(code)

    def save(self, order: np.ndarray) -> None:
        """Write the columns that follow the annotations, rearranged by (A,) `order`."""
        for name in ("polygon_first", "polygon_count", "code"):
            save_column(self.folder, name, np.asarray(getattr(self, name))[order])
        sizes = np.stack([np.asarray(self.code_height), np.asarray(self.code_width)], axis=1)
        save_column(self.folder, "code_sizes", sizes)

    def check_sizes(self, image_sizes: np.ndarray) -> None:
        """Raise where a run-length mask has another size than its image; (A, 2) in file order."""
        owners = np.asarray(self.code_owner)
        sizes = np.stack([np.asarray(self.code_height), np.asarray(self.code_width)], axis=1)
        wrong = np.flatnonzero((sizes != image_sizes[owners]).any(axis=1))
        if len(wrong):
            number, size = int(owners[wrong[0]]), sizes[wrong[0]].tolist()
            expected = image_sizes[number].tolist()
            raise self._error(
                number, f"{size}, but the image has [height, width] {expected}", ".size"
            )

    def _column(
        self, name: str, typecode: str, check: Callable[[np.ndarray], None] = lambda _: None
    ) -> ColumnWriter:
        path = self.folder / f"{name}.npy"
        return self._stack.enter_context(ColumnWriter(path, typecode, check=check))

    def _check_points(self, values: np.ndarray) -> None:
        """Raise where a polygon that is to be written lies far outside of every picture."""
        lengths = np.array(self._lengths, dtype=np.int64)
        bad = np.flatnonzero(~_drawable(values, lengths))
        if len(bad):
            ends = np.cumsum(lengths)
            polygon = values[ends[bad[0]] - lengths[bad[0]] : ends[bad[0]]].tolist()
            raise self._error(self._owners[bad[0]], _not_pixels(polygon))
        del self._lengths[:], self._owners[:]

    def _polygon(self, number: int, polygon: object) -> None:
        if not isinstance(polygon, list):
            raise self._error(number, f"{written(polygon)} among the polygons, {_FORM}")
        # Packing takes true and false for numbers.
        if not NUMBERS.issuperset(map(type, polygon)) or len(polygon) % 2:
            raise self._error(number, _not_pixels(polygon))
        if len(polygon) < 6:
            self.dropped_polygons += 1
            return
        try:
            self._points.waiting.extend(polygon)
        except OverflowError:
            raise self._error(number, _not_pixels(polygon)) from None
        self._lengths.append(len(polygon))
        self._owners.append(number)
        self._point_ends.waiting.append(len(self._points))
        self._points.written()
        self._point_ends.written()

    def _run_lengths(self, number: int, segmentation: dict[str, Any]) -> int:
        height, width = self._code_size(number, segmentation.get("size"))
        code = self._code(number, segmentation, height, width)
        self.code_owner.append(number)
        self.code_height.append(height)
        self.code_width.append(width)
        self._codes.waiting.extend(code)
        self._codes.written()
        self._code_ends.waiting.append(len(self._codes))
        self._code_ends.written()
        return len(self.code_owner) - 1

    def _code(self, number: int, segmentation: dict[str, Any], height: int, width: int) -> bytes:
        """Compressed run lengths of a mask, whose sum is the picture's pixels."""
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            if not {int}.issuperset(map(type, counts)) or (counts and min(counts) < 0):
                raise self._error(number, f"{written(counts)}, expected run lengths", ".counts")
            self._check_sum(number, sum(counts), height, width)
            counts = coco_mask.frPyObjects(segmentation, height, width)["counts"].decode()
        if not isinstance(counts, str) or not counts.isascii():
            raise self._error(number, f"{written(counts)}, expected a text or a list", ".counts")
        try:
            runs = decoded_runs(counts.encode())
        except ValueError as error:
            raise self._error(number, f"{written(counts)}, {error}", ".counts") from None
        self._check_sum(number, int(runs.sum()), height, width)
        return counts.encode()

    def _check_sum(self, number: int, total: int, height: int, width: int) -> None:
        # The decoder of pycocotools gives uninitialised pixels where the runs are too short.
        if total != height * width:
            problem = f"the runs add up to {written(total)}, expected {height} x {width} pixels"
            raise self._error(number, problem, ".counts")

    def _code_size(self, number: int, size: object) -> tuple[int, int]:
        match size:
            case [height, width] if type(height) is int and type(width) is int:
                if 0 < height <= FARTHEST and 0 < width <= FARTHEST:
                    return height, width
        raise self._error(number, f"{written(size)}, expected [height, width]", ".size")

    def _error(self, number: int, problem: str, field: str = "") -> AnnotationError:
        return AnnotationError(self.file, f"annotations[{number}].segmentation{field}", problem)


def _not_pixels(polygon: list[Any]) -> str:
    return f"{written(polygon)}, expected pixels x1, y1, x2, y2, …"


def _drawable(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N,) bool: whether polygons, (N,) `lengths` of (V,) values, lie where pictures can be."""
    if not len(lengths):
        return np.ones(0, dtype=bool)
    ends = np.cumsum(lengths)
    farthest = np.maximum.reduceat(np.abs(values), ends - lengths)
    good = farthest <= FARTHEST  # NaN is nowhere
    # No edge is longer than twice the farthest point is far: hardly any polygon is measured.
    for row in np.flatnonzero(good & (lengths > LONGEST / np.maximum(farthest, 1))):
        points = values[ends[row] - lengths[row] : ends[row]].reshape(-1, 2)
        edges = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
        good[row] = edges.sum() <= LONGEST
    return good
