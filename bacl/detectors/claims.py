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
AT_ONCE = 2**20, 2**26
"""Pairs of an object and a box whose overlaps are there at once, on a CPU and on a GPU."""
IN_CACHE = 2**17, 2**26
"""Pairs whose overlaps are computed together, in some 40 bytes each: on a CPU, in its cache."""


def claims(
    objects: Sequence[Tensor], coordinates: Tensor, usable: Tensor | None, belongs: float | None
) -> Claims:
    """Claims (B, N) of each image's objects.

    Of an image whose objects are not compared at once, the best of those before and of those now
    is kept.

    Args:
        objects: (G, 4) per image; their rows are counted through all images.
        coordinates: (4, 1, N) or (4, B, N) of the boxes, see `overlaps`.
        usable: (B, N) bool; the others overlap nothing.
        belongs: the boxes with an object's highest overlap, from this one on, belong to it; None
            for none.
    """
    every, starts = torch.cat(list(objects)), list(accumulate(map(len, objects), initial=0))
    image_of = sent(np.repeat(np.arange(len(objects)), np.diff(starts)), every.device)
    size = len(objects), coordinates.shape[2]
    highest, matches, last = (every.new_zeros(size, dtype=dtype) for dtype in CLAIMS)
    weights = None if usable is None else usable.to(coordinates.dtype)
    room = max(AT_ONCE[every.device.type != "cpu"] // max(size[1], 1), 1)
    for first in range(0, len(every) if size[1] else 0, room):
        rows = slice(first, first + room)
        shared = _overlaps(every[rows], coordinates, image_of[rows], weights)
        owners = _owners(shared, first, belongs)
        for image, part in _parts(first, len(shared), starts):
            begin, own = first + part.start, (highest[image], matches[image], last[image])
            if begin == starts[image]:
                torch.max(shared[part], dim=0, out=own[:2])
                torch.amax(owners[part], dim=0, out=own[2])
                own[1].add_(begin)
            else:
                best, match = shared[part].max(dim=0)
                _fold(own, (best, match.add_(begin), owners[part].amax(dim=0)))
    return highest, matches, last


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


def _owners(shared: Tensor, first: int, belongs: float | None) -> Tensor:
    """(G, N) int32: an object's row plus one at each box that belongs to it, 0 elsewhere."""
    if belongs is None:
        return shared.new_zeros((1, 1), dtype=torch.int32).expand(shared.shape)
    best = shared.amax(dim=1, keepdim=True)
    # An object without any sufficient box asks for an overlap that no box has.
    best.masked_fill_(best < belongs, 2.0)
    row = sent(np.arange(first + 1, first + 1 + len(shared), dtype=np.int32), shared.device)
    return shared.eq(best).int().mul_(row.unsqueeze(1))


def _fold(before: Claims, now: Claims) -> None:
    """Make the claims of an image's objects `before` those of these and of the ones after them."""
    better = now[0] > before[0]
    for mine, other in zip(before[:2], now[:2], strict=True):
        mine.copy_(torch.where(better, other, mine))
    before[2].copy_(torch.maximum(before[2], now[2]))
