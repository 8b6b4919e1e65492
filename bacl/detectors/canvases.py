"""A few sizes that images are padded to, so that there are few shapes to make programs for.

B: images. H, W: height and width of the network's input.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval, Len
from torch import Tensor

from bacl.data.batch import STRIDE
from bacl.detectors.each_alone import Maps
from bacl.detectors.transfers import sent
from bacl.messages.errors import OptionError

Canvas = Annotated[Sequence[Annotated[int, Interval(ge=STRIDE, le=16_384)]], Len(2, 2)]
"""Height and width."""


class Canvases:
    """Zeros beside images, up to the smallest canvas that holds them.

    Args:
        sides: (height, width) of each, multiples of 32.

    Raises:
        OptionError: a side is no multiple of 32.
    """

    def __init__(self, sides: Sequence[Canvas]) -> None:
        for height, width in sides:
            if height % STRIDE or width % STRIDE:
                raise OptionError(
                    f"compile.canvases: [{height}, {width}] are no multiples of {STRIDE}"
                )
        self.sides = sorted(((height, width) for height, width in sides), key=np.prod)

    def with_room(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) on a canvas, and H and W as a tensor (2,) int64.

        The images alone where there is no canvas that they fit on, or where a side is no multiple
        of 32: zeros beyond an odd side of a level would have to be made anew (`zeros_beyond`).
        """
        height, width = images.shape[2:]
        if height % STRIDE or width % STRIDE:
            return (images,)
        for canvas in self.sides:
            if height <= canvas[0] and width <= canvas[1]:
                larger = images.new_zeros(*images.shape[:2], *canvas)
                larger[:, :, :height, :width] = images
                return larger, sent(np.array([height, width]), images.device)
        return (images,)


def cut(levels: Maps, strides: Sequence[int], height: int, width: int) -> Maps:
    """The part of levels, with a position every `strides` pixels, that images of H and W cover."""
    pairs = zip(levels, strides, strict=True)
    own = [level[:, :, : -(-height // step), : -(-width // step)] for level, step in pairs]
    return tuple(level.contiguous(memory_format=torch.channels_last) for level in own)
