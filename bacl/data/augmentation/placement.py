"""Where a picture lands on a canvas, for its pixels and for its masks.

Masks are never resized: polygons are moved and then rasterised once, on the canvas, into run-length
codes whose cost grows with an object's outline, not with the canvas.
"""

from dataclasses import dataclass

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.transforms.v2 import functional

from bacl.data.batch import RunLengths
from bacl.data.mask_edges import MaskEdges


@dataclass(frozen=True)
class Placement:
    """Resize, then crop, then flip, then put into the upper left corner of a canvas. In pixels.

    Attributes:
        old: height and width of the picture as stored.
        new: height and width after the resize.
        crop: top, left, height and width of what is kept of the resized picture.
        flip: mirror it from left to right.
        canvas: height and width of the canvas.
    """

    old: tuple[int, int]
    new: tuple[int, int]
    crop: tuple[int, int, int, int]
    flip: bool
    canvas: tuple[int, int]

    def image(self, image: Tensor) -> Tensor:
        """(3, *canvas) uint8: the picture with zeros below and right of it."""
        top, left, height, width = self.crop
        resized = functional.resize_image(image, list(self.new), antialias=True)
        part = resized[:, top : top + height, left : left + width]
        # Channels last in memory, like the decoded picture: copying between the two is fast.
        canvas = image.new_zeros((*self.canvas, len(image))).permute(2, 0, 1)
        canvas[:, :height, :width] = part.flip(-1) if self.flip else part
        return canvas

    def polygon(self, points: np.ndarray) -> np.ndarray:
        """(P, 2) x and y on the canvas of (P, 2) points in the stored picture."""
        top, left, _, width = self.crop
        old_height, old_width = self.old
        scale = np.array([self.new[1] / old_width, self.new[0] / old_height])
        moved = points.clip(0, [old_width, old_height]) * scale - [left, top]
        if self.flip:
            moved[:, 0] = width - moved[:, 0]
        return moved

    def boxes(self, boxes: Tensor) -> Tensor:
        """(N, 4) xyxy on the canvas, clipped to what is kept, of (N, 4) in the stored picture."""
        top, left, height, width = self.crop
        old_height, old_width = self.old
        scale = boxes.new_tensor([self.new[1] / old_width, self.new[0] / old_height]).repeat(2)
        moved = boxes * scale - boxes.new_tensor([left, top]).repeat(2)
        moved = torch.minimum(moved.clamp(min=0), boxes.new_tensor([width, height]).repeat(2))
        if self.flip:
            x1, y1, x2, y2 = moved.unbind(1)
            moved = torch.stack((width - x2, y1, width - x1, y2), 1)
        return moved

    def bitmap(self, mask: np.ndarray) -> np.ndarray:
        """(*canvas,) uint8 of an (*old,) mask, every pixel the nearest one of the stored mask."""
        rows, columns = self._nearest()
        canvas = np.zeros(self.canvas, dtype=np.uint8, order="F")
        taken = mask[np.ix_(rows, columns[::-1] if self.flip else columns)]
        canvas[: len(rows), : len(columns)] = taken
        return canvas

    def edges(self, masks: MaskEdges) -> MaskEdges:
        """The same of masks as edges."""
        return masks.taken(*self._nearest(), self.canvas, self.flip)

    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the stored picture that the crop shows, before the flip."""
        top, left, height, width = self.crop
        rows = (top + np.arange(height)) * self.old[0] // self.new[0]
        return rows, (left + np.arange(width)) * self.old[1] // self.new[1]

    def run_lengths(self, outline: list[np.ndarray] | np.ndarray) -> RunLengths:
        """The mask on the canvas of one object.

        Args:
            outline: its polygons, each (P, 2), or an (*old,) uint8 mask where it has none.
        """
        if isinstance(outline, np.ndarray):
            return coco_mask.encode(self.bitmap(outline))
        moved = [self.polygon(points).ravel() for points in outline]
        return coco_mask.merge(coco_mask.frPyObjects(moved, *self.canvas))


def boxes_of(masks: list[RunLengths]) -> np.ndarray:
    """(N, 4) float64 xyxy around the masks' pixels, x2 and y2 one past the last; zeros if empty."""
    boxes = coco_mask.toBbox(masks).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def without(masks: list[RunLengths], removed: np.ndarray) -> list[RunLengths]:
    """The masks less the pixels of a bitmap.

    Args:
        masks: N masks of one size.
        removed: (H, W) uint8 in {0, 1}.
    """
    rest = coco_mask.encode(np.asfortranarray(1 - removed))
    return [coco_mask.merge([mask, rest], intersect=True) for mask in masks]
