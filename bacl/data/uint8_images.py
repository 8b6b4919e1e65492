"""Images of a batch as bytes, a quarter of what they are as float32, until they are where they go.

B: images. H, W: height and width of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bacl.data.uploads import uploaded

IMAGENET_MEAN = torch.tensor([123.675, 116.28, 103.53])
"""(3,) RGB, of pixels in 0..255: what all our backbones were trained with."""
IMAGENET_STD = torch.tensor([58.395, 57.12, 57.375])
"""(3,) RGB, of pixels in 0..255."""


@dataclass(slots=True)
class Uint8Images:
    """Images that are normalised where they are sent to, to what `collate` makes of them."""

    pixels: Tensor
    """(B, 3, H, W) uint8."""
    sides: Tensor
    """(B, 2) int64, height and width of each; what is beyond is 0 once they are normalised."""

    @classmethod
    def of(cls, images: Sequence[Tensor], height: int, width: int) -> "Uint8Images":
        """Those of (3, h, w) uint8 images, each in the upper left corner of its slot."""
        pixels = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
        for slot, image in zip(pixels, images, strict=True):
            slot[:, : image.shape[1], : image.shape[2]] = image
        return cls(pixels, torch.tensor([image.shape[1:] for image in images]))

    def pin_memory(self) -> "Uint8Images":
        """The same pinned, for asynchronous copies to a GPU."""
        return Uint8Images(self.pixels.pin_memory(), self.sides.pin_memory())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Tensor:
        """(B, 3, H, W) float32 on `device`, normalised; zero in the padding."""
        place = torch.device(device)
        mean, scale, sides = (
            uploaded(numbers, place) for numbers in (IMAGENET_MEAN, 1 / IMAGENET_STD, self.sides)
        )
        images = self.pixels.to(place, non_blocking=non_blocking).float()
        images.sub_(mean.view(3, 1, 1)).mul_(scale.view(3, 1, 1))
        return images.masked_fill_(_beyond(sides, *images.shape[2:]), 0)


def _beyond(sides: Tensor, height: int, width: int) -> Tensor:
    """(B, 1, H, W) bool, what no image covers."""
    rows = torch.arange(height, device=sides.device) >= sides[:, :1]
    columns = torch.arange(width, device=sides.device) >= sides[:, 1:]
    return (rows[:, :, None] | columns[:, None])[:, None]
