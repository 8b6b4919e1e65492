"""What checks look at: a split with its pictures, and both splits with what training makes of them.

I: images of a table. A: its annotations. C: categories.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.frames import Frames
from bacl.data.dataset import DetectionDataset
from bacl.data.images.image_files import ImageFiles
from bacl.data.selection import Selection, owners
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.finding import KEPT, Fault, Finding, Place
from bacl.inspection.picture_facts import PictureFacts
from bacl.inspection.view import View


@dataclass(frozen=True)
class InspectedSplit:
    """Training or validation data."""

    name: str
    """`train` or `val`."""
    table: AnnotationTable
    """With the labels and groups of the training file."""
    selection: Selection
    """What would be trained on."""
    files: ImageFiles
    pictures: PictureFacts | None
    """None where no picture was opened."""

    @classmethod
    def of(
        cls, name: str, dataset: DetectionDataset, pictures: PictureFacts | None
    ) -> "InspectedSplit":
        """A split as the training has it."""
        return cls(name, dataset.table, dataset.selection, dataset.files, pictures)

    @cached_property
    def owners(self) -> np.ndarray:
        """(A,) image of each annotation."""
        return owners(self.table)

    @cached_property
    def used(self) -> np.ndarray:
        """(I,) bool: images that are trained on, or judged."""
        chosen = np.ones(self.table.num_images, dtype=bool)
        if self.name == "train":
            chosen = np.isin(np.arange(self.table.num_images), self.selection.records)
        return chosen & ~self.selection.named

    @cached_property
    def objects(self) -> np.ndarray:
        """(O,) rows of the objects that are trained on, or judged."""
        return np.flatnonzero(self.table.trainable & self.used[self.owners])

    def place(self, image: int, rows: Iterable[int] = (), detail: str = "") -> Place:
        """A picture, or annotations of it."""
        ids = tuple(int(self.table.annotation_ids[row]) for row in rows)
        identifier, name = int(self.table.image_ids[image]), self.table.file_name(image)
        return Place(self.name, identifier, name, ids, detail)

    def pictures_with(
        self, fault: Fault, which: np.ndarray, detail: Callable[[int], str] = lambda image: ""
    ) -> Iterator[Finding]:
        """A finding of images, (I,) bool, if there are any."""
        images = np.flatnonzero(which)
        if len(images):
            shown = images[:KEPT].tolist()
            places = [(self.place(image, (), detail(image)),) for image in shown]
            total = self.table.num_images
            yield Finding(
                fault=fault, split=self.name, count=len(images), total=total, places=places
            )

    def objects_with(self, fault: Fault, rows: np.ndarray, total: int) -> Iterator[Finding]:
        """A finding of (n,) rows of annotations, if there are any."""
        if len(rows):
            shown = rows[:KEPT].tolist()
            places = [(self.place(int(self.owners[row]), [row], self._told(row)),) for row in shown]
            yield Finding(fault=fault, split=self.name, count=len(rows), total=total, places=places)

    def view(self, name: str, frames: Frames) -> View:
        """The objects in frames of the pictures."""
        rows, of = self.objects, self.owners[self.objects]
        moved = frames.moved(self.table.boxes[rows], of)
        return View(name, self.name, frames, of, rows, moved)

    def _told(self, row: int) -> str:
        """Category and box of an annotation."""
        box = ", ".join(f"{side:g}" for side in self.table.boxes[row].round(1).tolist())
        return f"{self.table.category_names[self.table.labels[row]]} [{box}]"


@dataclass(frozen=True)
class Inspected:
    """All that checks go by."""

    train: InspectedSplit
    val: InspectedSplit
    views: Sequence[View]
    """What of the objects reaches the network in each stage, and in the evaluation."""
    anchors: AnchorShapes | None
    """None for a detector without any."""
    masks: bool
    """Whether masks are learnt and judged."""
    pastes: bool
    """Whether objects are pasted into other pictures, by their masks."""

    @property
    def splits(self) -> tuple[InspectedSplit, InspectedSplit]:
        """Both."""
        return self.train, self.val


Check = Callable[[Inspected], Iterator[Finding]]
"""Looks for faults of one kind; says nothing where there is none."""
