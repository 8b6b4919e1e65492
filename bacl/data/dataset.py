"""Images and targets by index; all random draws of a sample come from its key."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors

from bacl.data.batch import RunLengths, Target, padded_sides
from bacl.data.copy_paste import CopyPaste
from bacl.data.images import ImageFiles
from bacl.data.table import AnnotationTable
from bacl.data.transforms import Sample

MIN_SIDE = 32
"""Pixels; the published code does not train on images with a shorter side."""
MAX_DRAWS = 100
"""So many samples without objects after their augmentation, one after the other, mean a mistake."""


@dataclass(slots=True)
class _RawSample:
    """An image as stored, with its objects (`bacl.data.copy_paste.OutlinedSample`)."""

    image: Tensor
    boxes: Tensor
    labels: Tensor
    table: AnnotationTable
    rows: np.ndarray
    """(N,) annotations of the table."""
    record: int
    """The image's row of the table."""

    @property
    def outlines(self) -> list[list[np.ndarray] | np.ndarray]:
        """Polygons of each object, or its mask where the file has run lengths or only a box."""
        table, record = self.table, self.record
        return [table.polygons(row) or table.masks(record, [row])[0] for row in self.rows.tolist()]

    def sample(self, with_masks: bool) -> Sample:
        """The input of a v2 transform."""
        height, width = self.image.shape[-2:]
        sample: Sample = {
            "image": tv_tensors.Image(self.image),
            "boxes": tv_tensors.BoundingBoxes(
                self.boxes, format="XYXY", canvas_size=(height, width)
            ),
            "labels": self.labels,
        }
        if with_masks:
            masks = self.table.masks(self.record, self.rows)
            sample["masks"] = tv_tensors.Mask(torch.from_numpy(masks))
        return sample


class DetectionDataset(Dataset[tuple[Tensor, Target]]):
    """The images of an annotation table with their trainable objects.

    Boxes are clipped to the image. For training, images without a trainable object or with a side
    under `MIN_SIDE` are left out, and a sample whose objects all vanish in the augmentation is
    replaced by another, drawn with the first one's key.

    Args:
        table: the annotation table.
        images: the folder with the image files, or several.
        transform: a v2 transform of a `Sample`, or a `CopyPaste`.
        load_masks: give the masks with the targets.
        keep_empty: keep every image of the table, in its order (for evaluation).

    Raises:
        ValueError: no image is left.
    """

    def __init__(
        self,
        table: AnnotationTable,
        images: str | Path | Sequence[str | Path],
        transform: nn.Module,
        load_masks: bool = False,
        keep_empty: bool = False,
    ) -> None:
        self.table = table
        self.files = ImageFiles(table, images)
        self.transform = transform
        self.load_masks = load_masks
        self.keep_empty = keep_empty
        self.records = np.arange(table.num_images) if keep_empty else _trainable_images(table)
        if len(self.records) == 0:
            raise ValueError(f"{table.source}: no image has an object to train on")

    def __len__(self) -> int:
        return len(self.records)

    @property
    def aspect_ratios(self) -> np.ndarray:
        """(N,) width over height of the stored images."""
        height, width = self.table.image_sizes[self.records].T
        return width / height

    def category_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) index and (M,) label of every trainable object."""
        position = np.full(self.table.num_images, -1)
        position[self.records] = np.arange(len(self.records))
        rows = np.flatnonzero(self.table.trainable)
        index = position[_owners(self.table)[rows]]
        return index[index >= 0], self.table.labels[rows][index >= 0]

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, Target]:
        """Image and target of an index, or of (index, key): the key seeds all draws of the sample.

        Raises:
            FileNotFoundError, OSError, ValueError: the image file is missing, broken, or of another
                size than the annotation file says.
            RuntimeError: the augmentation leaves no object, whatever image is drawn.
        """
        index, key = item if isinstance(item, tuple) else (item, 0)
        # The fork keeps the caller's generator; only the CPU's is seeded: `torch.manual_seed` would
        # reach a GPU's too where samples are loaded by the training process.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key)
            return self._draw(index)

    def annotated_masks(self, index: int) -> list[RunLengths]:
        """Masks in pixels of the file of all objects that the sample without augmentation has."""
        record = int(self.records[index])
        rows = self._load(record).rows
        return [self.table.run_lengths(record, int(row)) for row in rows]

    def _draw(self, index: int) -> tuple[Tensor, Target]:
        for _ in range(MAX_DRAWS):
            record = int(self.records[index])
            sample = self._transformed(self._load(record))
            if sample is not None:
                return sample["image"].as_subclass(Tensor), self._target(record, sample)
            index = self._random_index()
        raise RuntimeError(
            f"{self.table.source}: {MAX_DRAWS} samples in a row lost all their objects in the "
            "augmentation; check its sizes against those of the images"
        )

    def _transformed(self, raw: _RawSample) -> Sample | None:
        """The augmented sample; None if it has no object left although it needs one."""
        if isinstance(self.transform, CopyPaste):
            return self.transform(raw, self._load_random, self.load_masks)
        sample = _visible(self.transform(raw.sample(self.load_masks)))
        return sample if len(sample["boxes"]) or self.keep_empty else None

    def _load_random(self) -> _RawSample:
        return self._load(int(self.records[self._random_index()]))

    def _random_index(self) -> int:
        return int(torch.randint(len(self), ()))

    def _load(self, record: int) -> _RawSample:
        table = self.table
        span = table.rows(record)
        rows = np.arange(span.start, span.stop)[table.trainable[span]]
        height, width = table.image_sizes[record].tolist()
        boxes = table.boxes[rows]
        boxes[:, 2:] += boxes[:, :2]
        boxes = boxes.clip(0, [width, height, width, height])
        seen = (boxes[:, 2:] > boxes[:, :2]).all(1)
        rows, boxes = rows[seen], torch.from_numpy(boxes[seen]).float()
        labels = torch.from_numpy(table.labels[rows].astype(np.int64))
        return _RawSample(self.files.load(record), boxes, labels, table, rows, record)

    def _target(self, record: int, sample: Sample) -> Target:
        table, masks = self.table, sample.get("masks")
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
            masks=None if masks is None else masks.as_subclass(Tensor).bool(),
        )


def _visible(sample: Sample) -> Sample:
    """The sample without the objects that a crop has left no area."""
    boxes = sample["boxes"].as_subclass(Tensor)
    seen = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if seen.all():
        return sample
    kept: Sample = {
        **sample,
        "boxes": tv_tensors.wrap(boxes[seen], like=sample["boxes"]),
        "labels": sample["labels"][seen],
    }
    if "masks" in sample:
        kept["masks"] = tv_tensors.wrap(
            sample["masks"].as_subclass(Tensor)[seen], like=sample["masks"]
        )
    return kept


def _owners(table: AnnotationTable) -> np.ndarray:
    """(A,) the image of every annotation."""
    return np.repeat(np.arange(table.num_images), np.diff(table.offsets))


def _trainable_images(table: AnnotationTable) -> np.ndarray:
    """Rows of the images to train on, ascending."""
    objects = np.bincount(_owners(table)[table.trainable], minlength=table.num_images)
    return np.flatnonzero((objects > 0) & (table.image_sizes.min(1) >= MIN_SIDE))
