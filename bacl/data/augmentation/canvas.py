"""A picture on its canvas, with masks as run-length codes.

N: objects. S: side of the square canvas in pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from bacl.data.augmentation.carried_masks import CarriedMasks
from bacl.data.augmentation.transforms import Sample
from bacl.data.batch import RunLengths
from bacl.data.mask_edges import MaskEdges


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
            sample["masks"] = CarriedMasks.of(MaskEdges.of_run_lengths(self.masks, sides))
        return sample
