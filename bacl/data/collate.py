"""Samples become a batch: normalised, padded to one shape, targets packed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bacl.data.batch import Batch, Target, packed, padded_sides

IMAGENET_MEAN = torch.tensor([123.675, 116.28, 103.53])
"""(3,) RGB, of pixels in 0..255: what all our backbones were trained with."""
IMAGENET_STD = torch.tensor([58.395, 57.12, 57.375])
"""(3,) RGB, of pixels in 0..255."""


def collate(samples: Sequence[tuple[Tensor, Target]]) -> Batch:
    """The batch of (3, H, W) uint8 images and their targets.

    Every image is normalised and put into the upper left corner of its slot; the rest is 0. Masks
    are padded alike.
    """
    sides = (max(image.shape[axis] for image, _ in samples) for axis in (1, 2))
    height, width = padded_sides(*sides)
    images = torch.zeros(len(samples), 3, height, width)
    scale = (1 / IMAGENET_STD).view(3, 1, 1)
    for slot, (image, target) in zip(images, samples, strict=True):
        part = slot[:, : image.shape[1], : image.shape[2]]
        part.copy_(image).sub_(IMAGENET_MEAN.view(3, 1, 1)).mul_(scale)
        if target.masks is not None:
            target.masks = target.masks.padded(height, width)
    return Batch(images, packed([target for _, target in samples]))
