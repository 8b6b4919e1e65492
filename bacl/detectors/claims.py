"""What overlaps of objects with boxes say about each box, in pieces that fit in memory.

B: images. G: consecutive objects. N: boxes of an image.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from bacl.detectors.boxes import overlaps
from bacl.detectors.transfers import sent

Claims = tuple[Tensor, Tensor, Tensor]
"""Of each box, (N,) or (B, N): the highest overlap, float32; the row of the first object that has
it, int64; one more than the row of the last object that it belongs to, int32, and 0 without one."""
CLAIMS = torch.float32, torch.int64, torch.int32
AT_ONCE = 2**22, 2**26
"""Pairs of an object and a box whose overlaps are there at once, on a CPU and on a GPU."""
IN_CACHE = 2**18, 2**26
"""Pairs whose overlaps are computed together, in some 40 bytes each: on a CPU, in its cache."""


def claims(
    objects: Tensor,
    counts: Sequence[int],
    coordinates: Tensor,
    usable: Tensor | None,
    belongs: float | None,
) -> Claims:
    """Claims (B, N) of each image's objects.

    Of an image whose objects are not compared at once, the best of those before and of those now
    is kept.

    Args:
        objects: (G, 4) of all images, one image after the other.
        counts: number of each image's objects.
        coordinates: (4, 1, N) or (4, B, N) of the boxes, see `overlaps`.
        usable: (B, N) bool; the others overlap nothing.
        belongs: the boxes with an object's highest overlap, from this one on, belong to it; None
            for none.
    """
    number, starts = coordinates.shape[2], list(accumulate(counts, initial=0))
    images = np.repeat(np.arange(len(counts)), counts)
    known = np.concatenate((images, np.arange(1, len(objects) + 1), starts[:-1]), dtype=np.int32)
    image_of, row, firsts = sent(known, objects.device).tensor_split([len(images), 2 * len(images)])
    highest, matches, last = _nothing(counts, number, objects.device)
    weights = None if usable is None else usable.to(coordinates.dtype)
    room = max(AT_ONCE[objects.device.type != "cpu"] // max(number, 1), 1)
    for first in range(0, len(objects) if number else 0, room):
        rows = slice(first, first + room)
        shared = _overlaps(objects[rows], coordinates, image_of[rows], weights)
        owners = _owners(shared, row[rows], belongs)
        for image, part in _parts(first, len(shared), starts):
            own, before = (highest[image], matches[image], last[image]), first - starts[image]
            if before + part.start == 0:
                torch.max(shared[part], dim=0, out=own[:2])
                torch.amax(owners[part], dim=0, out=own[2])
            else:
                best, match = shared[part].max(dim=0)
                _fold(own, (best, match.add_(before), owners[part].amax(dim=0)))
    return highest, matches.add_(firsts.unsqueeze(1)), last


def _nothing(counts: Sequence[int], number: int, device: torch.device) -> Claims:
    """Room for the claims (B, N) of images; zeros for those without objects."""
    claims = [torch.empty(len(counts), number, dtype=dtype, device=device) for dtype in CLAIMS]
    for image, count in enumerate(counts):
        if count == 0:
            for claim in claims:
                claim[image].zero_()
    return claims[0], claims[1], claims[2]


def _overlaps(
    objects: Tensor, coordinates: Tensor, images: Tensor, weights: Tensor | None
) -> Tensor:
    """Overlaps (G, N) of objects of `images` (G,), times `weights` (B, N)."""
    width = max(IN_CACHE[objects.device.type != "cpu"] // len(objects), 1)
    parts = []
    for first in range(0, coordinates.shape[2], width):
        boxes = coordinates[:, :, first : first + width]
        own = boxes if boxes.shape[1] == 1 else boxes.index_select(1, images)
        parts.append(overlaps(objects, own))
        if weights is not None:
            parts[-1].mul_(weights[:, first : first + width].index_select(0, images))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _parts(first: int, count: int, starts: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """Images that some of `count` objects from row `first` on are of, and these objects' places."""
    for image, (start, end) in enumerate(pairwise(starts)):
        part = slice(max(start - first, 0), min(end - first, count))
        if part.start < part.stop:
            yield image, part


def _owners(shared: Tensor, row: Tensor, belongs: float | None) -> Tensor:
    """(G, N) int32: an object's `row` (G,) at each box that belongs to it, 0 elsewhere."""
    if belongs is None:
        return row.new_zeros((1, 1)).expand(shared.shape)
    # An object without any sufficient box asks for an overlap that no box has.
    best = shared.amax(dim=1, keepdim=True).clamp_(min=belongs)
    return shared.eq(best).int().mul_(row.unsqueeze(1))


def _fold(before: Claims, now: Claims) -> None:
    """Make the claims of an image's objects `before` those of these and of the ones after them."""
    better = now[0] > before[0]
    for mine, other in zip(before[:2], now[:2], strict=True):
        mine.copy_(torch.where(better, other, mine))
    before[2].copy_(torch.maximum(before[2], now[2]))
