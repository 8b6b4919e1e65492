"""What travels from the data to the detector, and back from it to the evaluation.

B: images of a batch. N: objects of an image. K: detections of an image. C: foreground categories.
Boxes are float32 xyxy, x2 > x1 and y2 > y1, in pixels; labels are int64 in [0, C), background is C.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from bacl.data.annotations.run_lengths import RunLengths
from bacl.data.mask_edges import MaskEdges
from bacl.data.uploads import uploaded

AnyRecord = TypeVar("AnyRecord", "Target", "Detections")

TENSORS = ("boxes", "labels", "negative", "not_exhaustive")
"""Fields of a target that are tensors."""
STRIDE = 32
"""Pixels of the image that one position of the coarsest backbone level stands for."""


def padded_sides(height: int, width: int) -> tuple[int, int]:
    """Sides rounded up to multiples of `STRIDE`, as the backbone needs them."""
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


@dataclass(slots=True)
class Target:
    """One image's truth. Tensors follow `Batch.to`."""

    image_id: int
    """The annotation file's image id."""
    boxes: Tensor
    """(N, 4) in pixels of the network's input."""
    labels: Tensor
    """(N,) in [0, C)."""
    size: tuple[int, int]
    """Height and width of the image inside its padding, in pixels of the network's input."""
    padded_size: tuple[int, int]
    """Height and width with the image's own padding: to multiples of 32, or to the canvas of
    copy-paste. What a batch with larger images adds to them is not part of the image."""
    original_size: tuple[int, int]
    """Height and width of the file; detections are mapped back to it by size / original_size."""
    negative: Tensor
    """(·,) labels verified to be absent from this image (LVIS `neg_category_ids`)."""
    not_exhaustive: Tensor
    """(·,) labels of which only some objects are annotated (LVIS `not_exhaustive_category_ids`)."""
    masks: MaskEdges | None = None
    """N masks in the padded frame of the batch, where the pipeline loads masks."""

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes (·, 4) of the network's input in pixels of the original file."""
        (height, width), (original_height, original_width) = self.size, self.original_size
        # By axis, since a tensor of the factors would be copied to the GPU for every image.
        x = boxes[:, 0::2] * (original_width / width)
        y = boxes[:, 1::2] * (original_height / height)
        return torch.stack((x, y), dim=2).flatten(1)

    def to(self, device: torch.device | str) -> "Target":
        """The same target with every tensor on `device`."""
        return _to(self, device)


@dataclass(slots=True)
class Batch:
    """Images padded to one shape, with their targets."""

    images: Any
    """(B, 3, H, W) float32, normalised; H and W are multiples of `STRIDE`; zero in the padding. For
    a detector that sees no pictures, what its `pyramid` takes, with a tensor's `to`, `cpu` and
    `pin_memory`. On the way to a GPU they may be `Uint8Images`."""
    targets: list[Target]
    """One per image, in order."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each image inside the padding."""
        return [target.size for target in self.targets]

    @property
    def padded_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each image with its own padding, multiples of `STRIDE`."""
        return [target.padded_size for target in self.targets]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on `device`: on a GPU by a few transfers that the host does not wait for.

        Lightning moves batches through this, and asks for nothing but the device.
        """
        place = torch.device(device)
        if place.type != "cuda":
            return Batch(self.images.to(place), [target.to(place) for target in self.targets])
        move = partial(uploaded, device=place)
        return Batch(self.images.to(place, non_blocking=True), packed(self.targets, move))

    def pin_memory(self) -> "Batch":
        """The batch with pinned images, for asynchronous copies to a GPU."""
        return Batch(self.images.pin_memory(), self.targets)


@dataclass(slots=True)
class Detections:
    """One image's detections, best first."""

    boxes: Tensor
    """(K, 4) float32 xyxy."""
    scores: Tensor
    """(K,) float32, descending."""
    labels: Tensor
    """(K,) int64 in [0, C)."""
    masks: list[RunLengths] | None = None
    """K masks in the size of the original file, where the detector has a mask branch."""

    def to(self, device: torch.device | str) -> "Detections":
        """The same detections on `device`."""
        return _to(self, device)

    def rescaled(self, target: Target) -> "Detections":
        """The boxes in pixels of the original file instead of the network's input."""
        return replace(self, boxes=target.to_original(self.boxes))


def packed(
    targets: Sequence[Target], move: Callable[[Tensor], Tensor] | None = None
) -> list[Target]:
    """The same targets, their tensors of each kind as views of one.

    Workers then hand over four blocks of shared memory, each a file descriptor, not four per image,
    and a device is sent four tensors; with masks, five.

    Args:
        targets: of a batch.
        move: what is done to the one of which they are views, if anything is.
    """
    columns: dict[str, Any] = {
        name: _views([getattr(each, name) for each in targets], move) for name in TENSORS
    }
    masks = [each.masks for each in targets if each.masks is not None]
    edges = iter(_views([each.edges for each in masks], move))
    return [
        replace(
            target,
            masks=None if target.masks is None else replace(target.masks, edges=next(edges)),
            **{name: views[index] for name, views in columns.items()},
        )
        for index, target in enumerate(targets)
    ]


def _views(parts: Sequence[Tensor], move: Callable[[Tensor], Tensor] | None) -> Sequence[Tensor]:
    if not parts:
        return ()
    joined = torch.cat(list(parts))
    return (move(joined) if move else joined).split([len(part) for part in parts])


def _to(value: AnyRecord, device: torch.device | str) -> AnyRecord:
    moved = {
        field.name: getattr(value, field.name).to(device)
        for field in fields(value)
        if isinstance(getattr(value, field.name), Tensor | MaskEdges)
    }
    return replace(value, **moved)
