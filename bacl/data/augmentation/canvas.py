"""A picture on its canvas, with masks as run-length codes.

N: objects. S: side of the square canvas in pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision import tv_tensors

from bacl.data.augmentation.transforms import Sample
from bacl.data.batch import RunLengths


@dataclass(slots=True)
class Canvas:
    """A picture on its canvas; objects without a pixel are gone."""

    image: Tensor
    """(3, S, S) uint8, zero below and right of the picture."""
    size: tuple[int, int]
    """Height and width of the picture."""
    masks: list[RunLengths]
    boxes: np.ndarray
    """(N, 4) float64 xyxy around the masks."""
    labels: np.ndarray
    """(N,) int64."""

    def select(self, index: np.ndarray) -> "Canvas":
        """The same picture with the objects at (n,) positions `index`, in that order."""
        masks = [self.masks[position] for position in index]
        return Canvas(self.image, self.size, masks, self.boxes[index], self.labels[index])

    def sample(self, with_masks: bool) -> Sample:
        """The canvas as a sample."""
        sides = (self.image.shape[-2], self.image.shape[-1])
        boxes = torch.from_numpy(self.boxes).float()
        sample: Sample = {
            "image": tv_tensors.Image(self.image),
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=sides),
            "labels": torch.from_numpy(self.labels),
            "size": self.size,
        }
        if with_masks:
            bitmaps = np.zeros((0, *sides), dtype=np.uint8)
            if self.masks:
                bitmaps = coco_mask.decode(self.masks).transpose(2, 0, 1)
            sample["masks"] = tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(bitmaps)))
        return sample
