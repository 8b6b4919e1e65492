"""Which images are trained on, what is left out and why."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bacl.data.annotations.table import AnnotationTable

MIN_SIDE = 32
"""Pixels; the published code does not train on images with a shorter side."""
_SHOWN = 10


@dataclass(frozen=True)
class Choice:
    """What is trained on; the default is the paper's.

    Attributes:
        min_side: images with a shorter side, in pixels, are left out.
        negatives: keep images without any annotation. Those whose objects are all ignored (crowd
            regions, ...) stay out: they show what is neither object nor background.
        leave_out: file names, as in the annotation file, of pictures to do without. They keep their
            place in the order of an epoch, where another picture is drawn for them: a run can be
            resumed with a longer list.
    """

    min_side: int = MIN_SIDE
    negatives: bool = False
    leave_out: Collection[str] = field(default_factory=frozenset)


class Selection:
    """The images of a table to train on.

    Args:
        table: the annotation table.
        choice: what is wanted.
    """

    def __init__(self, table: AnnotationTable, choice: Choice) -> None:
        self.table = table
        self.choice = choice

    @cached_property
    def records(self) -> np.ndarray:
        """Rows of the images to train on, ascending; those of `leave_out` keep their places."""
        return np.flatnonzero(~(self._small | self._without_objects | self._ignored))

    @property
    def with_objects(self) -> np.ndarray:
        """Those of them that have objects."""
        return self.records[self.has_objects[self.records]]

    @cached_property
    def named(self) -> np.ndarray:
        """(I,) bool: images that `leave_out` names."""
        if not self.choice.leave_out:
            return np.zeros(self.table.num_images, dtype=bool)
        wanted = set(self.choice.leave_out)
        return np.array([name in wanted for name in self.table.file_names()], dtype=bool)

    @cached_property
    def has_objects(self) -> np.ndarray:
        """(I,) bool: images with objects to train on."""
        rows = owners(self.table)[self.table.trainable]
        return np.bincount(rows, minlength=self.table.num_images) > 0

    def summary(self) -> str:
        """One line: how many images are trained on, and how many not, by their first reason."""
        side = self.choice.min_side
        reasons = (
            (self._without_objects, "without objects (datamodule.negatives=true keeps them)"),
            (self._ignored, "with ignored objects alone"),
            (self._small, f"with a side under {side} pixels (datamodule.min_side=1 keeps them)"),
            (self.named, "named in datamodule.leave_out"),
        )
        parts, rest = [], np.ones(self.table.num_images, dtype=bool)
        for mask, reason in reasons:
            if (mask & rest).any():
                parts.append(f"{(mask & rest).sum():,} {reason}")
            rest &= ~mask
        total = self.table.num_images
        text = f"{self.table.source.name}: trains on {rest.sum():,} of {total:,} images"
        return text + (f"; left out: {', '.join(parts)}" if parts else "")

    def lost_categories(self) -> list[str]:
        """Names of the categories with objects to train on, all of them in images left out."""
        used = np.zeros(self.table.num_images, dtype=bool)
        used[self.records] = True
        used &= ~self.named
        rows = np.flatnonzero(self.table.trainable)
        labels, seen = self.table.labels[rows], used[owners(self.table)[rows]]
        count = self.table.num_categories
        lost = (np.bincount(labels, minlength=count) > 0) & (
            np.bincount(labels[seen], minlength=count) == 0
        )
        return [self.table.category_names[label] for label in np.flatnonzero(lost)]

    @cached_property
    def _small(self) -> np.ndarray:
        return self.table.image_sizes.min(1) < self.choice.min_side

    @cached_property
    def _without_objects(self) -> np.ndarray:
        """(I,) bool: images without any annotation, where they are not wanted."""
        return (np.diff(self.table.offsets) == 0) & (not self.choice.negatives)

    @cached_property
    def _ignored(self) -> np.ndarray:
        """(I,) bool: images with annotations, but none to train on."""
        return (np.diff(self.table.offsets) > 0) & ~self.has_objects


def owners(table: AnnotationTable) -> np.ndarray:
    """(A,) the image of every annotation."""
    return np.repeat(np.arange(table.num_images), np.diff(table.offsets))


def shortened(names: list[str]) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
