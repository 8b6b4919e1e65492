"""Augmentations that have few outcomes: all sizes that they may give a picture.

I: pictures.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from torch import nn
from torchvision.transforms import v2

from bacl.messages.errors import OptionError

MIRRORS = (v2.RandomHorizontalFlip, v2.RandomVerticalFlip)


@runtime_checkable
class FewOutcomes(Protocol):
    """A transform that has few outcomes for a picture, and tells their sizes."""

    def outcomes(self, sizes: np.ndarray) -> list[np.ndarray]:
        """(I, 2) heights and widths for each outcome, of pictures of (I, 2) `sizes`."""


def outcomes(transform: nn.Module, sizes: np.ndarray) -> list[np.ndarray]:
    """Heights and widths (I, 2) of pictures, for each outcome of a transform.

    Args:
        transform: of a `Sample`, or several in a row (`v2.Compose`).
        sizes: (I, 2) heights and widths in pixels of the files.

    Raises:
        OptionError: names a transform that draws anew for every sample.
    """
    if isinstance(transform, v2.Compose):
        found = [sizes]
        for step in transform.transforms:
            found = [after for before in found for after in outcomes(step, before)]
        return found
    if isinstance(transform, FewOutcomes):
        return transform.outcomes(sizes)
    if isinstance(transform, MIRRORS):
        return [sizes] * (2 if 0 < transform.p < 1 else 1)
    if isinstance(transform, v2.Identity):
        return [sizes]
    raise OptionError(
        f"{type(transform).__name__} makes of a picture what it never makes again; resizes to "
        "given sides (ResizeShortSide) and mirrors (RandomHorizontalFlip, RandomVerticalFlip) do"
    )
