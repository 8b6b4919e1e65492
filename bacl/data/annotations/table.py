"""The annotation table: a COCO- or LVIS-format json as read-only columns that all processes share.

A: annotations. C: categories. I: images. An image or annotation is named by its row in the table.
"""

import json
import logging
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pycocotools import mask as coco_mask

from bacl.data.annotations.box_shapes import box_shapes
from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.column_files import Ragged, open_column
from bacl.data.annotations.fractal_dimension import dimensions_of_table
from bacl.data.annotations.segmentation import Segmentations
from bacl.data.annotations.table_cache import table_folder
from bacl.messages.errors import UserError

_LOG = logging.getLogger(__name__)


class DamagedTableError(UserError, RuntimeError):
    """A table's files were removed or changed since it was looked for."""


class AnnotationTable:
    """Columns of one annotation file, memory-mapped: no process holds a copy.

    Rows of annotations are sorted by image, in file order inside an image; those of image i are
    `offsets[i]` to `offsets[i + 1]`. Pickles as the path of its folder: workers map the same pages.

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
    """

    def __init__(self, folder: Path, source: Path, view: CategoryView | None = None) -> None:
        self.folder, self.source = Path(folder), Path(source)
        self._view = view
        try:
            self._open()
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            problem = f"the annotation table {folder} is damaged ({error}); delete that folder"
            raise DamagedTableError(problem) from error

    @classmethod
    def open(cls, annotations: str | Path, cache: str | Path | None = None) -> Self:
        """The table of a json file, built on first use and whenever the file's content has changed.

        A table is opened only if it is, byte for byte, what this user's processes built of the
        file; one that came with the data is built again (see `bacl.data.annotations.table_cache`).

        Args:
            annotations: A COCO- or LVIS-format json.
            cache: Folder for the table; by default a hidden one beside the file or, where that
                cannot be written, the user's cache directory.

        Raises:
            MissingAnnotationsError: if there is no such file.
            AnnotationError: if the file is bad, naming record and field.
        """
        source = Path(annotations)
        place = Path(cache) if cache is not None else None
        try:
            table = cls(table_folder(source, place), source)
        except DamagedTableError:  # another process has just put one in its place
            table = cls(table_folder(source, place), source)
        _announce(table.summary())
        return table

    def _open(self) -> None:
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

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.source, self._view)

    def __repr__(self) -> str:
        return f"AnnotationTable({self.summary()})"

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.image_ids)

    @property
    def num_annotations(self) -> int:
        """A."""
        return len(self.boxes)

    @property
    def num_categories(self) -> int:
        """C."""
        return len(self.category_ids)

    @property
    def categories(self) -> CategoryView:
        """Ids, names and groups by label."""
        return self._view or self._own

    @property
    def category_ids(self) -> np.ndarray:
        """(C,) int64 ascending, the file's (or, after `with_categories`, the other table's)."""
        return self.categories.ids

    @property
    def category_names(self) -> list[str]:
        """C names."""
        return self.categories.names

    @property
    def frequency(self) -> np.ndarray:
        """(C,) '<U1': r, c or f; the file's, else by its image counts (to 10, to 100, above)."""
        return self.categories.frequency

    @cached_property
    def labels(self) -> np.ndarray:
        """(A,) int32 in [0, C): position of the category among the ascending category ids."""
        return self.categories.relabelled(open_column(self.folder, "labels"))

    @cached_property
    def image_counts(self) -> np.ndarray:
        """(C,) int64: images of this file with an object of the category (ignored ones aside)."""
        return self.categories.scattered(open_column(self.folder, "image_counts"), 0)

    @cached_property
    def instance_counts(self) -> np.ndarray:
        """(C,) int64: objects of the category in this file (ignored ones aside)."""
        return self.categories.scattered(open_column(self.folder, "instance_counts"), 0)

    @cached_property
    def fractal_dimensions(self) -> np.ndarray:
        """(C,) float64, at least 1: how far the category's objects spread (ignored ones aside)."""
        own = dimensions_of_table(self.folder, len(self._own.ids))
        return self.categories.scattered(own, 1)

    @cached_property
    def box_shapes(self) -> np.ndarray:
        """(C, 2) float64: mean shapes of the category's boxes (`box_shapes`)."""
        own = box_shapes(self.folder, len(self._own.ids))
        columns = [self.categories.scattered(column, column.mean()) for column in own.T]
        return np.stack(columns, axis=1)

    def file_name(self, image: int) -> str:
        """Path of an image relative to the image folder: `file_name`, or from v1's `coco_url`."""
        return self._file_names.text(image)

    def file_names(self) -> list[str]:
        """`file_name` of every image."""
        return self._file_names.texts()

    def negative(self, image: int) -> np.ndarray:
        """Labels verified to be absent from an image (int64, any length); empty in COCO files."""
        return self.categories.relabelled(self._negative[image]).astype(np.int64)

    def not_exhaustive(self, image: int) -> np.ndarray:
        """Labels of which only some objects are annotated (int64); empty in COCO files."""
        return self.categories.relabelled(self._not_exhaustive[image]).astype(np.int64)

    def negative_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) image and (N,) int64 label of everything that is verified to be absent."""
        return self._pairs(self._negative)

    def not_exhaustive_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) image and (N,) int64 label where only some objects are annotated."""
        return self._pairs(self._not_exhaustive)

    def _pairs(self, lists: Ragged) -> tuple[np.ndarray, np.ndarray]:
        images = np.repeat(np.arange(self.num_images), np.diff(lists.offsets))
        return images, self.categories.relabelled(lists.values).astype(np.int64)

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

    def summary(self) -> str:
        """One line: size, groups, and what is left out of training and why."""
        groups = [f"{(self.frequency == group).sum()} {group}" for group in "rcf"]
        odd = ("crowd", "ignored", "degenerate", "outside")
        left_out = [f"{self._report[kind]} {kind}" for kind in odd if self._report[kind]]
        return (
            f"{self.source.name}: {self.num_images} images, {self.num_annotations} annotations, "
            f"{self.num_categories} categories ({', '.join(groups)})"
            + (f"; not trained on: {', '.join(left_out)}" if left_out else "")
            + (f"; {self.root!r} is the supercategory of others, and no class" if self.root else "")
        )

    def with_categories(self, other: CategoryView) -> Self:
        """The same table with labels, ids, names and groups of `other`, which has all its ids."""
        return type(self)(self.folder, self.source, other.laid_over(self._own))


@cache
def _announce(summary: str) -> None:
    """Log a summary once per process, however often its table is opened."""
    _LOG.info("%s", summary)
