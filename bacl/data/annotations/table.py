"""The annotation table: a COCO- or LVIS-format json as read-only columns that all processes share.

A: annotations. C: categories. I: images. An image or annotation is named by its row in the table.
"""

import logging
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from bacl.data.annotations.box_shapes import box_shapes
from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.column_files import Ragged, open_column
from bacl.data.annotations.fractal_dimension import dimensions_of_table
from bacl.data.annotations.stored_annotations import DamagedTableError, StoredAnnotations
from bacl.data.annotations.table_cache import table_folder

_LOG = logging.getLogger(__name__)


class AnnotationTable(StoredAnnotations):
    """An annotation file's columns (`StoredAnnotations`), with labels in place of category ids.

    Pickles as the path of its folder: workers map the same pages.

    Args:
        folder: of the columns.
        source: the annotation file.
        view: of categories; None takes the file's own.

    Raises:
        DamagedTableError: the folder was removed or changed since it was looked for.
    """

    def __init__(self, folder: Path, source: Path, view: CategoryView | None = None) -> None:
        super().__init__(folder)
        self.source = Path(source)
        self._view = view

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

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.source, self._view)

    def __repr__(self) -> str:
        return f"AnnotationTable({self.summary()})"

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
