"""Samples become a batch: normalised, padded to one shape, targets packed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bacl.data.batch import Batch, Target, packed, padded_sides
from bacl.data.uint8_images import IMAGENET_MEAN as IMAGENET_MEAN
from bacl.data.uint8_images import IMAGENET_STD as IMAGENET_STD
from bacl.data.uint8_images import Uint8Images

Samples = Sequence[tuple[Tensor, Target]]
"""(3, H, W) uint8 images and their targets."""


def collate(samples: Samples) -> Batch:
    """The batch of images and their targets.

    Every image is normalised and put into the upper left corner of its slot; the rest is 0. Masks
    are padded alike.
    """
    images = torch.zeros(len(samples), 3, *_sides(samples))
    scale = (1 / IMAGENET_STD).view(3, 1, 1)
    for slot, (image, _) in zip(images, samples, strict=True):
        part = slot[:, : image.shape[1], : image.shape[2]]
        part.copy_(image).sub_(IMAGENET_MEAN.view(3, 1, 1)).mul_(scale)
    return _batch(images, samples)


def collate_uint8(samples: Samples) -> Batch:
    """The same batch, but for its images, which are normalised where the batch is sent to.

    Images that a data set or a transform gives as other than bytes are normalised here.
    """
    if any(image.dtype != torch.uint8 for image, _ in samples):
        return collate(samples)
    images = Uint8Images.of([image for image, _ in samples], *_sides(samples))
    return _batch(images, samples)


def collate_here() -> Callable[[Samples], Batch]:
    """What makes batches on this machine: where there is a GPU, bytes are sent to it.

    Where there is none, processes that load normalise images, as what they do is done meanwhile.
    """
    return collate_uint8 if torch.cuda.is_available() else collate


def _sides(samples: Samples) -> tuple[int, int]:
    height, width = (max(image.shape[axis] for image, _ in samples) for axis in (1, 2))
    return padded_sides(height, width)


def _batch(images: Tensor | Uint8Images, samples: Samples) -> Batch:
    height, width = _sides(samples)
    for _, target in samples:
        if target.masks is not None:
            target.masks = target.masks.padded(height, width)
    return Batch(images, packed([target for _, target in samples]))
