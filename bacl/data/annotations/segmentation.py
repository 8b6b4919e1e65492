"""Segmentations in columns: polygon points and run-length codes, packed end to end in file order.

An annotation owns `polygon_count` consecutive polygons from `polygon_first` on, or the run-length
mask number `code` (-1: none), or nothing. A polygon is (x1, y1, x2, y2, …) in pixels, float64 so
that masks equal those of the original file to the pixel. A run-length mask is kept in COCO's
compressed form, whatever form the file has.
"""

from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.column_files import ColumnWriter, Ragged, open_column, save_column
from bacl.data.annotations.validation import FARTHEST, NUMBERS, AnnotationError
from bacl.data.batch import RunLengths
from bacl.messages.shown import written

LONGEST = 4 * FARTHEST
"""Pixels around a polygon: pycocotools takes room for each, and crashes where there is none."""
_LONGEST_CHAIN = 7  # characters of a 32-bit number with its sign
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
        for column, value in zip(
            (self.code_owner, self.code_height, self.code_width),
            (number, height, width),
            strict=True,
        ):
            column.append(value)
        self._codes.waiting.extend(counts.encode())
        self._codes.written()
        self._code_ends.waiting.append(len(self._codes))
        self._code_ends.written()
        return len(self.code_owner) - 1

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


def mask_areas(masks: Sequence[RunLengths]) -> np.ndarray:
    """Pixels (N,) float64 of N compressed run-length masks.

    pycocotools' own `area` (2.0.11, with NumPy 2) raises OverflowError for more than 255 at once.
    """
    parts = [masks[first : first + 255] for first in range(0, len(masks), 255)]
    return np.concatenate([np.zeros(0), *(coco_mask.area(part) for part in parts)])


def decoded_runs(code: bytes) -> np.ndarray:
    """The run lengths (R,) int64, none negative, in COCO's compressed form.

    A number is a chain of characters 48 + b: five bits each, lowest first, 0x20 set where the chain
    goes on, 0x10 of the last the sign. From the fourth on, a run stands as its difference from the
    run two before.

    Raises:
        ValueError: for what no encoder writes, which pycocotools' decoder reads beyond its end.
    """
    bits = np.frombuffer(code, dtype=np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((bits & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    length = last - first + 1
    if length.sum() < len(bits) or (length > _LONGEST_CHAIN).any() or (bits >> 6).any():
        raise ValueError("which is no text of compressed run lengths")
    shift = 5 * (np.arange(len(bits)) - np.repeat(first, length))
    runs = np.add.reduceat((bits & 0x1F) << shift, first) if len(first) else first
    runs = runs - np.where(bits[last] & 0x10, np.int64(1) << (5 * length), 0)
    for parity in (1, 2):
        runs[parity::2] = np.cumsum(runs[parity::2])
    if (runs < 0).any():
        raise ValueError("which has a negative run length")
    return runs
