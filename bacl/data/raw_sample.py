"""A sample before its augmentation, and what is left of one after it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.carried_masks import AnyMasks, CarriedMasks, selected
from bacl.data.augmentation.transforms import Sample
from bacl.data.mask_edges import MaskEdges


@dataclass(slots=True)
class RawSample:
    """An image as read, with its objects (`bacl.data.augmentation.copy_paste.OutlinedSample`)."""

    image: Tensor
    boxes: Tensor
    labels: Tensor
    table: AnnotationTable
    rows: np.ndarray
    """(N,) annotations of the table."""
    record: int
    """The image's row of the table."""

    @classmethod
    def of(cls, table: AnnotationTable, record: int, image: Tensor) -> Self:
        """The trainable objects of an image, their boxes clipped to it."""
        span = table.rows(record)
        rows = np.arange(span.start, span.stop)[table.trainable[span]]
        height, width = table.image_sizes[record].tolist()
        boxes = table.boxes[rows]
        boxes[:, 2:] += boxes[:, :2]
        boxes = boxes.clip(0, [width, height, width, height])
        seen = (boxes[:, 2:] > boxes[:, :2]).all(1)
        rows, boxes = rows[seen], torch.from_numpy(boxes[seen]).float()
        labels = torch.from_numpy(table.labels[rows].astype(np.int64))
        return cls(image, boxes, labels, table, rows, record)

    @property
    def outlines(self) -> list[list[np.ndarray] | np.ndarray]:
        """Polygons of each object, or its mask where the file has run lengths or only a box."""
        table, record = self.table, self.record
        return [table.polygons(row) or table.masks(record, [row])[0] for row in self.rows.tolist()]

    def sample(self, with_masks: bool, carried: bool = False) -> Sample:
        """The input of a v2 transform; with `carried`, masks are edges."""
        height, width = self.image.shape[-2:]
        sample: Sample = {
            "image": tv_tensors.Image(self.image),
            "boxes": tv_tensors.BoundingBoxes(
                self.boxes, format="XYXY", canvas_size=(height, width)
            ),
            "labels": self.labels,
        }
        if with_masks:
            sample["masks"] = self._masks((height, width), carried)
        return sample

    def _masks(self, size: tuple[int, int], carried: bool) -> AnyMasks:
        if not carried:
            return tv_tensors.Mask(torch.from_numpy(self.table.masks(self.record, self.rows)))
        codes = [self.table.run_lengths(self.record, row) for row in self.rows.tolist()]
        return CarriedMasks.of(MaskEdges.of_run_lengths(codes, size))


def visible(sample: Sample) -> Sample:
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
        kept["masks"] = selected(sample["masks"], seen)
    return kept
