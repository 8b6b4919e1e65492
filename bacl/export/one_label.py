"""Suppression over categories, in an order of its own, without data-dependent shapes.

D: detections.
"""

import torch
from torch import Tensor

from bacl.export.suppression import Survivors


def of_one_label(boxes: Tensor, odds: Tensor, iou: float, suppress: Survivors) -> Tensor:
    """(D,) bool: what survives where all suppress each other, as in `Acceptance`.

    Args:
        boxes: (D, 4).
        odds: (D,) by which they rank; the earlier of equals comes first.
        iou: from which on, exclusively, one suppresses another.
        suppress: how.
    """
    order = _ranked(odds)
    kept = suppress(boxes[order], torch.zeros_like(order), 1, iou)
    return torch.zeros_like(kept).scatter(0, order, kept)


def first_kept(kept: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Positions (`count`,) of the first that are kept (D,), in order, then of any; and which are.

    Args:
        kept: (D,) bool.
        count: at most D.
    """
    ranks = torch.arange(len(kept), 0, -1, device=kept.device).float() * kept
    chosen, index = ranks.topk(count)
    return index, chosen > 0


def _ranked(values: Tensor) -> Tensor:
    """(D,) int64: positions by descending value, the earlier of equals first.

    By comparing all with all: runtimes that sort put equals in orders of their own.
    """
    place = torch.arange(len(values), device=values.device)
    larger = values.unsqueeze(1) > values.unsqueeze(0)
    earlier = (values.unsqueeze(1) == values.unsqueeze(0)) & (place.unsqueeze(1) < place)
    ranks = (larger | earlier).sum(0)
    return torch.zeros_like(place).scatter(0, ranks, place)
