"""Pictures of a random scale on a canvas of one size: large-scale jitter, and what is like it.

With scales of 0.1 to 2.0 it is the large-scale jitter of Simple Copy-Paste (Ghiasi et al., CVPR
2021, Sec. 3), which EfficientDet (Tan et al., CVPR 2020) and most strong recipes since have used.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval, Len
from torch import Tensor, nn
from torchvision import tv_tensors

from bacl.data.augmentation.carried_masks import AnyMasks, CarriedMasks
from bacl.data.augmentation.frames import Frames
from bacl.data.augmentation.placement import Placement
from bacl.data.augmentation.transforms import Sample, resized_frames, scaled_size
from bacl.options.ranges import NeverFalling, Positive, Share

Side = Annotated[int, Interval(ge=1, le=8192)]
Scales = Annotated[Sequence[Positive], Len(2, 2), NeverFalling]


class OnCanvas(nn.Module):
    """What puts pictures at random scales and places on a square canvas.

    Args:
        canvas: S, side of the square canvas in pixels; pictures that are larger are cropped.
        scale: the long side becomes a uniform draw from scale[0]..scale[1] times S.
        flip_probability: of mirroring.
    """

    def __init__(self, canvas: Side, scale: Scales, flip_probability: Share) -> None:
        super().__init__()
        self.canvas = canvas
        self.scale = scale
        self.flip_probability = flip_probability

    def draw_placement(self, old: tuple[int, int]) -> Placement:
        """Draw the size, the crop and the flip of a picture of (height, width) `old`."""
        low, high = self.scale
        long_side = int(self.canvas * (low + (high - low) * float(torch.rand(()))))
        height, width = scaled_size(old, long_side / max(old))
        kept = min(height, self.canvas), min(width, self.canvas)
        corner = draw(height - kept[0] + 1), draw(width - kept[1] + 1)
        flip = float(torch.rand(())) < self.flip_probability
        return Placement(old, (height, width), corner + kept, flip, (self.canvas, self.canvas))

    def frames(self, sizes: np.ndarray, draws: np.random.Generator) -> Frames:
        """Where pictures of (I, 2) `sizes`, height and width, land, by draws as those above."""
        low, high = self.scale
        long_sides = np.floor(self.canvas * draws.uniform(low, high, len(sizes)))
        resized = resized_frames(sizes, long_sides / sizes.max(1))
        kept = np.minimum(resized.size, self.canvas)
        corner = np.floor(draws.random(kept.shape) * (resized.size - kept + 1))
        return Frames(resized.scale, corner, kept)


class ScaleJitter(OnCanvas):
    """One picture resized, cropped and mirrored at random into the upper left of its canvas.

    Boxes and masks are clipped to what the crop keeps; objects of which nothing is left have boxes
    without area, which the data set removes. The rest of the canvas is zero, and no part of the
    picture (`size`).
    """

    carries_masks = True

    def forward(self, sample: Sample) -> Sample:
        """The sample (N objects) on an (S, S) canvas."""
        height, width = sample["image"].shape[-2:]
        placement = self.draw_placement((height, width))
        sides = placement.canvas
        boxes = placement.boxes(sample["boxes"].as_subclass(Tensor))
        placed: Sample = {
            "image": tv_tensors.Image(placement.image(sample["image"].as_subclass(Tensor))),
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=sides),
            "labels": sample["labels"],
            "size": (placement.crop[2], placement.crop[3]),
        }
        if "masks" in sample:
            placed["masks"] = _placed_masks(sample["masks"], placement)
        return placed


def _placed_masks(masks: AnyMasks, placement: Placement) -> AnyMasks:
    if isinstance(masks, CarriedMasks):
        return CarriedMasks.of(placement.edges(masks.masks))
    bitmaps = np.zeros((len(masks), *placement.canvas), dtype=np.uint8)
    for number, mask in enumerate(masks.as_subclass(Tensor).numpy()):
        bitmaps[number] = placement.bitmap(mask)
    return tv_tensors.Mask(torch.from_numpy(bitmaps))


def draw(count: int) -> int:
    """A uniform integer in [0, count), from torch's generator."""
    return int(torch.randint(count, ()))
