"""The categories of a table by label: the file's own, or those that a model was trained with."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np


@dataclass(frozen=True)
class CategoryView:
    """Other groups or other labels than the file's own, laid over a table."""

    ids: np.ndarray
    """(C,) int64."""
    names: list[str]
    frequency: np.ndarray
    """(C,) '<U1' in r, c, f."""
    labels: np.ndarray | None = None
    """(C of the file,) int32, the label of each of the file's categories; None: their own."""

    def relabelled(self, labels: np.ndarray) -> np.ndarray:
        """The file's own labels as those of this view."""
        return labels if self.labels is None else self.labels[labels]

    def scattered(self, own: np.ndarray, absent: float) -> np.ndarray:
        """(C,) by label of what is by the file's own categories."""
        values = np.full(len(self.ids), absent, dtype=own.dtype)
        values[self.relabelled(np.arange(len(own)))] = own
        return values

    def laid_over(self, own: Self) -> Self:
        """These categories for a file whose own are among them.

        Raises:
            ValueError: they are not.
        """
        labels = np.searchsorted(self.ids, own.ids).astype(np.int32)
        if not np.array_equal(self.ids[labels % len(self.ids)], own.ids):
            raise ValueError("with_categories needs categories with every id of this table")
        return replace(self, labels=None if len(labels) == len(self.ids) else labels)
