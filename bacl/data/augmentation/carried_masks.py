"""Masks that torchvision's transforms carry as edges, and those that know how.

A v2 transform hands every value of a sample to a kernel that is registered for its type, and one
that has none stays as it is. So masks are carried as edges only through transforms for which that
is right, and are bitmaps in all others.
"""

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from bacl.data.mask_edges import MaskEdges


class CarriedMasks(tv_tensors.TVTensor):
    """A value of a sample whose content is `masks`; as a tensor it is empty."""

    masks: MaskEdges

    @classmethod
    def of(cls, masks: MaskEdges) -> "CarriedMasks":
        """With this content."""
        carried = torch.empty(0).as_subclass(cls)
        carried.masks = masks
        return carried


AnyMasks: TypeAlias = tv_tensors.Mask | CarriedMasks
"""Of a sample: (N, H, W) uint8 in {0, 1}, or as edges."""


def carry(transform: nn.Module) -> bool:
    """Whether a transform of samples can have its masks as edges; a subclass says so itself."""
    if isinstance(transform, v2.Compose):
        return all(carry(step) for step in transform.transforms)
    known = type(transform) in (nn.Identity, v2.Identity, v2.RandomHorizontalFlip)
    return known or vars(type(transform)).get("carries_masks", False)


def edges_of(masks: AnyMasks) -> MaskEdges:
    """The masks of a sample, however it has them."""
    if isinstance(masks, CarriedMasks):
        return masks.masks
    return MaskEdges.of_bitmaps(masks.as_subclass(Tensor))


def selected(masks: AnyMasks, kept: Tensor) -> AnyMasks:
    """Those of the objects that (N,) bool `kept` marks."""
    if isinstance(masks, CarriedMasks):
        return CarriedMasks.of(masks.masks.select(kept))
    return tv_tensors.wrap(masks.as_subclass(Tensor)[kept], like=masks)


@functional.register_kernel(functional.resize, CarriedMasks)
def _resized(carried: CarriedMasks, size: list[int], **options: Any) -> CarriedMasks:
    """To [height, width] `size`, by the pixels that a bitmap's resize takes."""
    masks = carried.masks
    (old_height, old_width), (height, width) = masks.size, size
    rows, columns = _nearest(old_height, height), _nearest(old_width, width)
    return CarriedMasks.of(masks.taken(rows, columns, (height, width)))


@functional.register_kernel(functional.horizontal_flip, CarriedMasks)
def _mirrored(carried: CarriedMasks) -> CarriedMasks:
    height, width = carried.masks.size
    rows, columns = np.arange(height), np.arange(width)
    return CarriedMasks.of(carried.masks.taken(rows, columns, (height, width), flip=True))


def _nearest(old: int, new: int) -> np.ndarray:
    """(new,) positions in [0, old) that torchvision's resize of a mask takes."""
    places = torch.arange(old, dtype=torch.float32).view(1, old, 1)
    return functional.resize_mask(places, [new, 1]).flatten().numpy()
