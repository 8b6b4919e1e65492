"""What lies in the folder of an annotation table, in the terms of the annotation file.

A: annotations. C: categories. I: images.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.column_files import Ragged, open_column
from bacl.data.annotations.segmentation import Segmentations
from bacl.messages.errors import UserError


class DamagedTableError(UserError, RuntimeError):
    """A table's files were removed or changed since it was looked for."""


class StoredAnnotations:
    """Columns of one annotation file, memory-mapped: no process holds a copy.

    Rows of annotations are sorted by image, in file order inside an image; those of image i are
    `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        image_ids: (I,) int64, the file's.
        image_sizes: (I, 2) int32, height and width in pixels.
        offsets: (I + 1,) int64 into the rows of annotations.
        boxes: (A, 4) float64 [x, y, width, height], exactly as in the file.
        areas: (A,) float64 pixels; where the file gives none, of the mask, else of the box.
        annotation_ids: (A,) int64, the file's.
        ignore: (A,) bool, crowd regions and annotations marked `ignore`.
        crowd: (A,) bool, crowd regions (`iscrowd`).
        trainable: (A,) bool, not ignored, at least one pixel wide and high, of positive area, and
            overlapping its image.

    Args:
        folder: of the table.

    Raises:
        DamagedTableError: it was removed or changed since it was looked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            self._describe()
            self._open()
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            problem = f"the annotation table {folder} is damaged ({error}); delete that folder"
            raise DamagedTableError(problem) from error

    def _describe(self) -> None:
        description = json.loads((self.folder / "table.json").read_text(encoding="utf-8"))
        self._report: dict[str, int] = description["report"]
        self._own = CategoryView(
            np.array(description["category_ids"], dtype=np.int64),
            description["category_names"],
            np.array(description["frequency"], dtype="<U1"),
        )
        self.frequency_derived: bool = description["frequency_derived"]
        self.root: str | None = description["root"]
        """Name of the file's category 0, if it is but the supercategory of others and no class."""
        self.exhaustive: bool = description["exhaustive"]
        """No image has federated lists (COCO): every object of every category is annotated."""

    def _open(self) -> None:
        self.image_ids = open_column(self.folder, "image_ids")
        self.image_sizes = open_column(self.folder, "image_sizes")
        self.offsets = open_column(self.folder, "offsets")
        self.boxes = open_column(self.folder, "boxes")
        self.areas = open_column(self.folder, "areas")
        self.annotation_ids = open_column(self.folder, "annotation_ids")
        self.ignore = open_column(self.folder, "ignore")
        self.crowd = open_column(self.folder, "crowd")
        self.trainable = open_column(self.folder, "trainable")
        self._file_names = Ragged(self.folder, "file_names")
        self._negative = Ragged(self.folder, "negative")
        self._not_exhaustive = Ragged(self.folder, "not_exhaustive")
        self._segmentations = Segmentations(self.folder)

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.image_ids)

    @property
    def num_annotations(self) -> int:
        """A."""
        return len(self.boxes)

    def file_name(self, image: int) -> str:
        """Path of an image relative to the image folder: `file_name`, or from v1's `coco_url`."""
        return self._file_names.text(image)

    def file_names(self) -> list[str]:
        """`file_name` of every image."""
        return self._file_names.texts()

    def shapeless(self) -> np.ndarray:
        """(A,) bool: annotations whose mask is no more than a box, or that have none."""
        return ~self._segmentations.present() | self._segmentations.rectangles()

    def rows(self, image: int) -> slice:
        """The rows of an image's annotations."""
        return slice(int(self.offsets[image]), int(self.offsets[image + 1]))

    def polygons(self, row: int) -> list[np.ndarray]:
        """Polygons of an annotation, each (P, 2) float64 x and y; none for run-length masks."""
        return self._segmentations.polygons(row)

    def run_lengths(self, image: int, row: int) -> dict[str, Any]:
        """The mask of annotation `row` of `image` as a compressed COCO run-length object.

        An annotation without segmentation gets its box as mask.
        """
        height, width = self.image_sizes[image].tolist()
        code = self._segmentations.run_lengths(row, height, width)
        return code or coco_mask.frPyObjects(np.array(self.boxes[row : row + 1]), height, width)[0]

    def masks(self, image: int, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Masks of annotations of one image: (n, H, W) uint8 in {0, 1}, in pixels of the file.

        Args:
            image: Row of the image.
            rows: Rows of annotations (within `offsets[image]` to `offsets[image + 1]`).
        """
        height, width = self.image_sizes[image].tolist()
        if not len(rows):
            return np.zeros((0, height, width), dtype=np.uint8)
        codes = [self.run_lengths(image, int(row)) for row in rows]
        return np.ascontiguousarray(coco_mask.decode(codes).transpose(2, 0, 1))

    def report(self) -> dict[str, int]:
        """Counts: images, annotations, categories, trainable; annotations of each odd kind.

        The kinds: `crowd`, `ignored`, `degenerate` (under a pixel wide or high, or without area),
        `outside` (no overlap with the image), `clipped` (more than a pixel beyond its edge),
        `without_area`, `without_segmentation`; further `small_polygons` (dropped: fewer than three
        points) and `images_without_annotations`.
        """
        return dict(self._report)
