"""The largest padded pictures that an augmentation can make of a data set's."""

import numpy as np
from torch import nn
from torchvision.transforms import v2

from bacl.data.augmentation.outcomes import outcomes
from bacl.data.augmentation.scale_jitter import OnCanvas
from bacl.data.batch import padded_sides
from bacl.data.dataset import DetectionDataset
from bacl.messages.errors import OptionError


def largest_sides(data: DetectionDataset, images: int) -> tuple[int, int] | None:
    """Height and width that a batch of so many images is padded to, at the most.

    A batch is as high as its highest picture and as wide as its widest, which need not be the same.

    Args:
        data: of the training.
        images: of a batch.

    Returns:
        None where the augmentation is one of which that is not known.
    """
    try:
        found = _sizes(data.transform, data.table.image_sizes[data.records])
    except OptionError:
        return None
    padded = [padded_sides(*size) for size in np.unique(np.concatenate(found), axis=0).tolist()]
    if images == 1:
        return max(padded, key=lambda sides: sides[0] * sides[1])
    heights, widths = zip(*padded, strict=True)
    return max(heights), max(widths)


def _sizes(transform: nn.Module, sizes: np.ndarray) -> list[np.ndarray]:
    """Heights and widths (I, 2) for each outcome, of pictures of (I, 2) `sizes`."""
    steps = transform.transforms if isinstance(transform, v2.Compose) else [transform]
    found = [sizes]
    for step in steps:
        if isinstance(step, OnCanvas):
            found = [np.full_like(sizes, step.canvas)]
        elif not isinstance(step, nn.Identity):
            found = [after for before in found for after in outcomes(step, before)]
    return found
