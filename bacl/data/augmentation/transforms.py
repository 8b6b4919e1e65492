"""Samples on their way from the file to the batch.

Transforms are torchvision v2 transforms of a `Sample`: whatever they do to the image happens to the
boxes and masks too. They draw from torch's global generator only, which the data set seeds for each
sample; a transform that draws from elsewhere makes a run unrepeatable. Images stay uint8 to the
end: batches are normalised when they are put together (`bacl.data.collate`).
"""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from bacl.data.augmentation.carried_masks import AnyMasks
from bacl.data.augmentation.frames import Frames
from bacl.options.marks import Samples
from bacl.options.ranges import Pixels, Sides


class Sample(TypedDict):
    """One image and its N objects."""

    image: tv_tensors.Image
    """(3, H, W) uint8, RGB."""
    boxes: tv_tensors.BoundingBoxes
    """(N, 4) float32 xyxy in pixels of the image."""
    labels: Tensor
    """(N,) int64 in [0, C)."""
    masks: NotRequired[AnyMasks]
    """Where the data set loads masks: as edges if all of the transform can carry them."""
    size: NotRequired[tuple[int, int]]
    """Height and width of the picture where the image holds padding below or right of it."""


@dataclass(frozen=True)
class Augmentation:
    """What a configuration of the group `augment` builds.

    Attributes:
        train: what happens to a training sample: a v2 transform, or a
            `bacl.data.augmentation.copy_paste.CopyPaste`.
        test: what happens to an image of validation, test and prediction: a v2 transform.
    """

    train: Samples[nn.Module]
    test: nn.Module


class ResizeShortSide(v2.Transform):
    """Bilinear resize of the short side to a given length, unless the long one gets too long.

    The ratio is kept.
    Both sides are rounded to the nearest pixel and the boxes scaled by new / old of each axis, as
    in the published code. Shrinking is antialiased, which the published code does not do; but the
    paper's sizes enlarge every picture of COCO and LVIS, and then pixels are the same to rounding.

    Args:
        short_sides: lengths in pixels, one drawn for each sample.
        max_size: limit of the long side in pixels.
        rounding: of both sides, to the nearest pixel or down, as torchvision's detectors do.
        antialias: whether shrinking is antialiased, which in torchvision's detectors it is not.
    """

    carries_masks = True

    def __init__(
        self,
        short_sides: Sides,
        max_size: Pixels,
        rounding: Literal["nearest", "down"] = "nearest",
        antialias: bool = True,
    ) -> None:
        super().__init__()
        self.short_sides = tuple(short_sides)
        self.max_size = max_size
        self.shift = 0.5 if rounding == "nearest" else 0.0
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the short side and find the new size."""
        choice = int(torch.randint(len(self.short_sides), ()))
        old = v2.query_size(flat_inputs)
        return {"size": self.resized(old, self.short_sides[choice])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image, boxes or masks to the new size."""
        options = {"antialias": self.antialias}
        return self._call_kernel(v2.functional.resize, inpt, params["size"], **options)

    def frames(self, sizes: np.ndarray, draws: np.random.Generator) -> Frames:
        """Where pictures of (I, 2) `sizes`, height and width, land."""
        return self._frames(sizes, draws.choice(np.array(self.short_sides), len(sizes)))

    def outcomes(self, sizes: np.ndarray) -> list[np.ndarray]:
        """(I, 2) heights and widths for each short side, of pictures of (I, 2) `sizes`."""
        return [self._frames(sizes, short).size[:, ::-1] for short in self.short_sides]

    def _frames(self, sizes: np.ndarray, short: np.ndarray | int) -> Frames:
        scales = np.minimum(self.max_size / sizes.max(1), short / sizes.min(1))
        return resized_frames(sizes, scales, self.shift)

    def resized(self, size: tuple[int, int], short_side: int) -> list[int]:
        """[height, width] of an image of (height, width) `size` after the resize."""
        scale = min(self.max_size / max(size), short_side / min(size))
        return scaled_size(size, scale, self.shift)


def scaled_size(size: tuple[int, int], scale: float, shift: float = 0.5) -> list[int]:
    """[height, width] times `scale`, rounded half up as `int(side * scale + 0.5)`, at least 1.

    With a `shift` of 0 in place of 0.5, rounded down.
    """
    return [max(1, int(side * scale + shift)) for side in size]


def resized_frames(sizes: np.ndarray, scales: np.ndarray, shift: float = 0.5) -> Frames:
    """Frames of pictures of (I, 2) `sizes`, height and width, times (I,) `scales`; no crop.

    Sides are rounded as `scaled_size` does.
    """
    new = np.maximum(1, (sizes * scales[:, None] + shift).astype(np.int64))[:, ::-1]
    return Frames(new / sizes[:, ::-1], np.zeros(new.shape), new)
