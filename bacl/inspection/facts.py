"""What is counted of a training file before anything is built of it."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.transforms import resized_frames
from bacl.data.selection import Choice, Selection, owners
from bacl.inspection.view import View


@dataclass(frozen=True, eq=False)
class Facts:
    """Of the pictures and objects that are trained on, as the annotation file has them."""

    table: AnnotationTable
    choice: Choice

    @classmethod
    def of(cls, annotations: str | Path, choice: Choice | None = None) -> "Facts | None":
        """Those of a file; None where it is not there yet.

        Raises:
            AnnotationError: the file is bad.
        """
        path = Path(annotations)
        if not path.is_file():
            return None
        state = path.stat()
        return _facts(path.absolute(), state.st_mtime_ns, state.st_size, choice or Choice())

    @cached_property
    def used(self) -> np.ndarray:
        """Rows of the pictures, ascending."""
        return Selection(self.table, self.choice).records

    @cached_property
    def rows(self) -> np.ndarray:
        """(O,) annotations of the objects."""
        seen = np.zeros(self.table.num_images, bool)
        seen[self.used] = True
        return np.flatnonzero(self.table.trainable & seen[owners(self.table)])

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return len(self.used)

    @property
    def short_side(self) -> float:
        """Median in pixels of the file; 0 without any picture."""
        return self._median(np.min)

    @property
    def long_side(self) -> float:
        """Median in pixels of the file; 0 without any picture."""
        return self._median(np.max)

    def _median(self, side: np.ufunc | object) -> float:
        sizes = self.table.image_sizes[self.used]
        return float(np.median(side(sizes, axis=1))) if len(sizes) else 0.0  # type: ignore[operator]

    @property
    def objects(self) -> np.ndarray:
        """(O, 2) width and height in pixels of the file."""
        return np.asarray(self.table.boxes[self.rows, 2:])

    def view(self, long_side: int) -> View:
        """The objects in the network, of pictures with this long side in pixels."""
        sizes = np.asarray(self.table.image_sizes)
        frames = resized_frames(sizes, long_side / sizes.max(axis=1))
        of = owners(self.table)[self.rows]
        moved = frames.moved(np.asarray(self.table.boxes[self.rows]), of)
        return View("training", "train", frames, of, self.rows, moved)


@cache
def _facts(path: Path, changed: int, size: int, choice: Choice) -> Facts:
    """Once for each content of a file: many options are chosen by it."""
    return Facts(AnnotationTable.open(path), choice)
