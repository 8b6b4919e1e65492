"""Objects as the network gets them.

O: objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bacl.data.augmentation.frames import Frames
from bacl.inspection.anchor_reach import AnchorShapes


@dataclass(frozen=True, eq=False)
class View:
    """The objects of a split as one augmentation shows them, with one draw for each picture."""

    name: str
    """A stage, or several that show the same, or `evaluation`."""
    split: str
    frames: Frames
    owners: np.ndarray
    """(O,) picture of each object."""
    rows: np.ndarray
    """(O,) its annotation."""
    moved: np.ndarray
    """(O, 4) xyxy in pixels of the frame, not clipped."""

    @cached_property
    def boxes(self) -> np.ndarray:
        """(O, 4) clipped to the frame."""
        limits = np.tile(self.frames.size[self.owners], 2)
        return self.moved.clip(0, limits)

    @cached_property
    def shares(self) -> np.ndarray:
        """(O,) how much of each object's box lies in the frame."""
        inside, whole = _areas(self.boxes), _areas(self.moved)
        return inside / whole.clip(min=1e-9)

    def shows_as(self, other: "View") -> bool:
        """Whether both put the objects of one split at the same places."""
        return (
            self.split == other.split
            and np.array_equal(self.frames.size, other.frames.size)
            and np.array_equal(self.moved, other.moved)
        )

    @property
    def seen(self) -> np.ndarray:
        """(O,) bool: objects of which the frame has something."""
        return _areas(self.boxes) > 0

    @property
    def lengths(self) -> np.ndarray:
        """(O,) square root of the area in pixels, as far as it is in the frame."""
        return np.sqrt(_areas(self.boxes))

    def reached(self, anchors: AnchorShapes) -> np.ndarray:
        """(S,) best IoU of the objects seen with any anchor."""
        sizes = self.frames.size[self.owners[self.seen]]
        return anchors.best_overlaps(self.boxes[self.seen], sizes)


def distinct(views: Sequence[View]) -> list[View]:
    """The views that differ; those that do not are one, with the names of all."""
    kept: list[View] = []
    for view in views:
        place = next((n for n, each in enumerate(kept) if each.shows_as(view)), None)
        if place is None:
            kept.append(view)
        else:
            kept[place] = replace(kept[place], name=f"{kept[place].name}, {view.name}")
    return kept


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
