"""Suppression over categories, in an order of its own, without data-dependent shapes.

B: images. D: detections of an image.
"""

import torch
from torch import Tensor

from bacl.export.suppression import Survivors


def of_one_label(boxes: Tensor, odds: Tensor, iou: float, suppress: Survivors) -> Tensor:
    """(B, D) bool: what survives where all suppress each other, as in `Acceptance`.

    Args:
        boxes: (B, D, 4).
        odds: (B, D) by which they rank; the earlier of equals comes first.
        iou: from which on, exclusively, one suppresses another.
        suppress: how.
    """
    order = _ranked(odds)
    kept = suppress(rows_of(boxes, order), torch.zeros_like(order), 1, iou)
    return torch.zeros_like(kept).scatter(1, order, kept)


def first_kept(kept: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Positions (B, `count`) of the first that are kept (B, D), then of any; and which are.

    Args:
        kept: (B, D) bool.
        count: at most D.
    """
    ranks = torch.arange(kept.shape[1], 0, -1, device=kept.device).float() * kept
    chosen, index = ranks.topk(count, dim=1)
    return index, chosen > 0


def rows_of(values: Tensor, index: Tensor) -> Tensor:
    """(B, n, 4) of `values` (B, D, 4) at `index` (B, n)."""
    return values.gather(1, index.unsqueeze(2).expand(-1, -1, 4))


def _ranked(values: Tensor) -> Tensor:
    """(B, D) int64: positions by descending value, the earlier of equals first.

    By comparing all with all: runtimes that sort put equals in orders of their own.
    """
    place = torch.arange(values.shape[1], device=values.device)
    larger = values.unsqueeze(2) > values.unsqueeze(1)
    earlier = (values.unsqueeze(2) == values.unsqueeze(1)) & (place.unsqueeze(1) < place)
    ranks = (larger | earlier).sum(1)
    return torch.zeros_like(ranks).scatter(1, ranks, place.expand_as(ranks))
