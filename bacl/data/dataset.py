"""Images and targets by index; all random draws of a sample come from its key."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.carried_masks import carry, edges_of
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.sources import WeightedDraw, category_weights, picture_shares
from bacl.data.augmentation.transforms import Sample
from bacl.data.batch import RunLengths, Target, padded_sides
from bacl.data.images.image_files import ImageFiles
from bacl.data.images.picture_file import Reading
from bacl.data.raw_sample import RawSample, visible
from bacl.data.selection import Choice, Selection, owners
from bacl.data.statistics import CategoryStatistics
from bacl.messages.errors import UserError

MAX_DRAWS = 100
"""So many samples without objects after their augmentation, one after the other, mean a mistake."""


class NothingToTrainOnError(UserError, ValueError):
    """No image is left to train on, or no object in the images that the augmentation makes."""


class DetectionDataset(Dataset[tuple[Tensor, Target]]):
    """The images of an annotation table with their trainable objects.

    Boxes are clipped to the image. For training, images are left out as `choice` says, and a sample
    whose objects all vanish in the augmentation, or whose picture is to be done without, is
    replaced by another, drawn with the first one's key.

    Args:
        table: the annotation table.
        images: the folder with the image files, or several.
        transform: a v2 transform of a `Sample`, or a `CopyPaste`.
        load_masks: give the masks with the targets.
        keep_empty: keep every image of the table, in its order (for evaluation), but for those
            that `choice` names.
        choice: what is trained on.
        reading: how pictures are read.
        outside_links: follow links that lead out of the image folders.

    Raises:
        NothingToTrainOnError: no image is left.
    """

    def __init__(
        self,
        table: AnnotationTable,
        images: str | Path | Sequence[str | Path],
        transform: nn.Module,
        load_masks: bool = False,
        keep_empty: bool = False,
        choice: Choice | None = None,
        reading: Reading | None = None,
        outside_links: bool = False,
    ) -> None:
        self.table = table
        self.files = ImageFiles(table, images, reading, outside_links)
        self.transform = transform
        self.load_masks = load_masks
        self._carries = carry(transform)
        self.keep_empty = keep_empty
        self.selection = Selection(table, choice or Choice())
        self._named, self._has_objects = self.selection.named, self.selection.has_objects
        self.records = np.flatnonzero(~self._named) if keep_empty else self.selection.records
        used = self.records[~self._named[self.records]]
        if len(used) == 0 or not (keep_empty or self._has_objects[used].any()):
            raise NothingToTrainOnError(
                f"{table.source}: no image is left. {self.selection.summary()}"
            )
        self._draw_source = self._draw_of_sources()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def aspect_ratios(self) -> np.ndarray:
        """(N,) width over height of the stored images."""
        height, width = self.table.image_sizes[self.records].T
        return width / height

    @property
    def statistics(self) -> CategoryStatistics:
        """Counts of the whole annotation file."""
        return CategoryStatistics.of(self.table)

    def category_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) index and (M,) label of every trainable object."""
        return self._pairs(self.table.trainable)

    def annotated_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of every object that counts in the file: all but crowds and ignored ones."""
        return self._pairs(~self.table.ignore)

    def _pairs(self, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position = np.full(self.table.num_images, -1)
        position[self.records] = np.arange(len(self.records))
        rows = np.flatnonzero(counted)
        index = position[owners(self.table)[rows]]
        return index[index >= 0], self.table.labels[rows][index >= 0]

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, Target]:
        """Image and target of an index, or of (index, key): the key seeds all draws of the sample.

        Raises:
            PictureError: the image file is missing, broken, or of another size than the annotation
                file says.
            NothingToTrainOnError: the augmentation leaves no object, whatever image is drawn.
        """
        index, key = item if isinstance(item, tuple) else (item, 0)
        # The fork keeps the caller's generator; only the CPU's is seeded: `torch.manual_seed` would
        # reach a GPU's too where samples are loaded by the training process.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key)
            return self._draw(index)

    def __getitems__(
        self, items: Sequence[int | tuple[int, int]]
    ) -> list[tuple[Tensor, Target]] | UserError:
        """What a loader asks for: the samples of a batch, or what is wrong with one of them.

        An error is handed over as a value: raised in a worker, it would arrive with the text of its
        traceback (see `bacl.data.loading`).
        """
        try:
            return [self[item] for item in items]
        except UserError as error:
            return error

    def annotated_masks(self, index: int) -> list[RunLengths]:
        """Masks in pixels of the file of all objects that the sample without augmentation has."""
        record = int(self.records[index])
        rows = self._load(record).rows
        return [self.table.run_lengths(record, int(row)) for row in rows]

    def _draw(self, index: int) -> tuple[Tensor, Target]:
        for _ in range(MAX_DRAWS):
            record = int(self.records[index])
            sample = None if self._named[record] else self._transformed(self._load(record))
            if sample is not None:
                return sample["image"].as_subclass(Tensor), self.target(record, sample)
            index = self._random_index()
        raise NothingToTrainOnError(
            f"{self.table.source}: {MAX_DRAWS} samples in a row lost all their objects in the "
            "augmentation; check its sizes against those of the images"
        )

    def _transformed(self, raw: RawSample) -> Sample | None:
        """The augmented sample; None if it has no object left although it needs one."""
        negatives = self.selection.choice.negatives
        if isinstance(self.transform, CopyPaste):
            return self.transform(raw, self._load_random, self.load_masks, negatives)
        sample = visible(self.transform(raw.sample(self.load_masks, self._carries)))
        may_be_empty = self.keep_empty or (negatives and not len(raw.rows))
        return sample if len(sample["boxes"]) or may_be_empty else None

    def _draw_of_sources(self) -> WeightedDraw | None:
        """Of the images whose objects are pasted into others; None where all are alike."""
        if not isinstance(self.transform, CopyPaste):
            return None
        self.transform.prepare(self.table)
        if self.transform.source_power is None:
            return None
        weights = category_weights(self.table.image_counts, self.transform.source_power)
        return WeightedDraw(picture_shares(len(self), *self.category_pairs(), weights))

    def _load_random(self) -> RawSample:
        """An image with objects."""
        while True:
            drawn = self._draw_source() if self._draw_source else self._random_index()
            record = int(self.records[drawn])
            if self._has_objects[record] and not self._named[record]:
                return self._load(record)

    def _random_index(self) -> int:
        return int(torch.randint(len(self), ()))

    def _load(self, record: int) -> RawSample:
        return RawSample.of(self.table, record, self.files.load(record))

    def target(self, record: int, sample: Sample) -> Target:
        """The target of an image of the table, with the objects that a sample of it has."""
        table = self.table
        height, width = sample["image"].shape[-2:]
        original_height, original_width = table.image_sizes[record].tolist()
        return Target(
            image_id=int(table.image_ids[record]),
            boxes=sample["boxes"].as_subclass(Tensor),
            labels=sample["labels"],
            size=sample.get("size", (height, width)),
            padded_size=padded_sides(height, width),
            original_size=(original_height, original_width),
            negative=torch.tensor(table.negative(record)),
            not_exhaustive=torch.tensor(table.not_exhaustive(record)),
            masks=edges_of(sample["masks"]) if "masks" in sample else None,
        )
