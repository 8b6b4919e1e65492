"""Boxes: overlaps, clipping, and the coder between boxes and regression deltas.

N: boxes. G: objects. K: delta groups per box (classes, or 1). Boxes are xyxy in pixels; whatever
comes in is computed in float32.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bacl.detectors.transfers import sent
from bacl.options.ranges import Stds

MAX_LOG_RATIO = math.log(1000 / 16)
"""Largest |dw| and |dh| that is decoded: a box changes its side by a factor of 62.5 at most."""


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of `size` (height, width), borders included."""
    return clipped(boxes, limits([size], boxes.device)[0])


def limits(sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Width, height, width and height (B, 4) float32 of images of `sizes` (height, width)."""
    return sent(np.array(sizes, dtype=np.float32).reshape(-1, 2)[:, [1, 0, 1, 0]], device)


def clipped(boxes: Tensor, limit: Tensor) -> Tensor:
    """Boxes (..., 4) cut to [0, `limit`], as `limits` gives it."""
    return boxes.clamp(min=0).minimum(limit)


def large_enough(boxes: Tensor, side: float) -> Tensor:
    """Which of boxes (..., 4) have no side below `side` pixels, bool (...,)."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= side).all(dim=-1)


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union (G, N) of boxes (G, 4) and others (N, 4); 0 for two empty boxes."""
    return overlaps(boxes, others.float().t().contiguous().unsqueeze(1))


def overlaps(boxes: Tensor, coordinates: Tensor) -> Tensor:
    """Intersection over union (G, N) of boxes (G, 4) with N others, the same or its own of each.

    Args:
        boxes: xyxy.
        coordinates: (4, 1, N) or (4, G, N) float32; x1, y1, x2 and y2 of the others.
    """
    low, high = boxes.float().t().contiguous().view(2, 2, -1, 1)
    other_low, other_high = coordinates.unflatten(0, (2, 2))
    sides = torch.minimum(high, other_high).sub_(torch.maximum(low, other_low)).clamp_(min=0)
    shared = sides[0].mul_(sides[1])
    (width, height), (other_width, other_height) = high - low, other_high - other_low
    both = width * height + other_width * other_height
    return shared.div_(both.sub_(shared).clamp_(min=1e-6))


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union (N,) of each of boxes (N, 4) with its own of others (N, 4)."""
    boxes, others = boxes.float(), others.float()
    low, high = (
        torch.maximum(boxes[:, :2], others[:, :2]),
        torch.minimum(boxes[:, 2:], others[:, 2:]),
    )
    intersection = (high - low).clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1)
    return intersection / (areas - intersection).clamp(min=1e-6)


class BoxCoder(nn.Module):
    """Deltas (dx, dy, dw, dh), centre shift over size and log size ratio (R-CNN, 2014), by `stds`.

    Args:
        stds: what each of the four deltas is divided by when encoding.
        limits_shrinking: whether a side shrinks by a factor of 62.5 at most, too, and not only
            grows by it.
    """

    stds: Tensor

    def __init__(self, stds: Stds, limits_shrinking: bool = True) -> None:
        super().__init__()
        self.least = -MAX_LOG_RATIO if limits_shrinking else None
        if len(stds) != 4 or min(stds) <= 0:
            raise ValueError(f"BoxCoder.stds needs four positive numbers, got {list(stds)}")
        # A buffer, since a tensor made at each call would be copied to the GPU each time.
        values = torch.tensor(list(stds), dtype=torch.float32)
        self.register_buffer("stds", values, persistent=False)

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Deltas (N, 4) that lead from `references` to `boxes` (N, 4 each), none of them empty."""
        centres, sizes = _centre_and_size(torch.stack((references.float(), boxes.float())))
        (centre, target_centre), (size, target_size) = centres, sizes
        deltas = torch.cat(((target_centre - centre) / size, (target_size / size).log()), dim=-1)
        return deltas / self.stds

    def decode(
        self, deltas: Tensor, references: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Boxes (N, 4 K) that `deltas` (N, 4 K) lead to from `references` (N, 4).

        Sides change by a factor of 62.5 at most. With `size` (height, width), clipped to it.
        """
        deltas = deltas.float().unflatten(1, (-1, 4))
        shift, scale = (deltas * self.stds).split(2, dim=-1)
        centre, extent = _centre_and_size(references.float().unsqueeze(1))
        half = 0.5 * extent * scale.clamp(self.least, MAX_LOG_RATIO).exp()
        centre = centre + extent * shift
        boxes = torch.cat((centre - half, centre + half), dim=-1)
        return (boxes if size is None else clip_boxes(boxes, size)).flatten(1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) * 0.5, high - low
