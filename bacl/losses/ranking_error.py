"""The mean error of ranking each class's logits among all of a step, with a gradient by hand.

R: rows. C: foreground classes. P: foreground rows. H(v) = v / (2 delta) + 1/2, cut to [0, 1].
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bacl.processes.class_sums import rows_per_class

UNITS = 2.0**30
"""Parts of one in the running sums of logits."""
ROWS_AT_ONCE = 1024
"""Whose negatives' gradients are computed together: bounds the memory for them."""


def ranking_error(logits: Tensor, labels: Tensor, weights: Tensor, delta: float) -> Tensor:
    """The mean over the classes of a step of their rows' mean error.

    The error of a foreground row with own logit u is the sum of H(n - u) over all negatives n,
    divided by that sum and the one of H(p - u) over the own logits p of the class's rows. Negatives
    are the logits of all rows but the own ones.

    The gradient is not the derivative. With the row's part in the mean times its class's weight, u
    has minus its error, and each negative H(n - u) divided by both sums.

    Args:
        logits: (R, C) of the foreground classes, float32 or float64.
        labels: (R,) int64 in [0, C].
        weights: (C,) float64, constant: of the gradient alone.
        delta: above 0.

    Returns:
        Scalar; zero with a graph where there is no foreground row.
    """
    value: Tensor = _RankingError.apply(logits, labels, weights, delta)
    return value


class _RankingError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor, delta: float) -> Tensor:
        num_classes = logits.shape[1]
        rows = (labels < num_classes).nonzero().squeeze(1)
        positives, order = logits[rows, labels[rows]].double().sort()
        rows = rows[order]
        own = labels[rows]
        counts = rows_per_class(labels, num_classes)
        # A row's part in the mean over classes of the means over their rows.
        parts = 1 / (counts[own] * (counts > 0).sum()).double()
        false = _negatives_above(positives, logits, labels, delta)
        same = own.unsqueeze(1) == own
        ranks = false + (_smooth(positives - positives.unsqueeze(1), delta) * same).sum(dim=1)
        errors = false / ranks
        pulls = parts * weights[own]
        slopes = _suffered(logits, positives, pulls / ranks, delta)
        slopes.index_put_((rows, own), -(errors * pulls).to(logits.dtype))
        ctx.save_for_backward(slopes)
        return (errors * parts).sum().to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradients[0], None, None, None


def _smooth(gaps: Tensor, delta: float) -> Tensor:
    """H."""
    return (gaps / (2 * delta) + 0.5).clamp(0, 1)


# H is 0, a straight line, or 1. Where the line begins and ends for a logit is looked up among
# sorted ones, and sums between are differences of running sums: in pairs they would be hundreds of
# millions.


def _negatives_above(positives: Tensor, logits: Tensor, labels: Tensor, delta: float) -> Tensor:
    """(P,) float64: sums of H(n - u) over all negatives n of (R, C), for positives u (P,).

    Running sums are of whole numbers, which a GPU adds in any order to the same.
    """
    classes = torch.arange(logits.shape[1], device=logits.device)
    negatives = logits.masked_fill(labels.unsqueeze(1) == classes, torch.inf)
    values = negatives.flatten().sort().values.double()
    whole = (values * UNITS).nan_to_num(posinf=0).round().long()
    sums = functional.pad(whole.cumsum(0), (1, 0))
    low = torch.searchsorted(values, positives - delta, right=True)
    high = torch.searchsorted(values, positives + delta)
    around = high - low
    beyond = len(values) - len(positives) - high  # the own logits lie at the end
    gaps = (sums[high] - sums[low]).double() / UNITS - around * positives
    return beyond + gaps / (2 * delta) + around / 2


def _suffered(logits: Tensor, positives: Tensor, pulls: Tensor, delta: float) -> Tensor:
    """(R, C): sums of pull · H(n - u) over positives u (P,), ascending, for all n of logits."""
    up_to = pulls.new_ones(len(pulls) + 1, len(pulls)).tril(-1)
    totals, moments = (up_to @ torch.stack((pulls, pulls * positives), dim=1)).unbind(1)

    def suffered(some: Tensor) -> Tensor:
        low = torch.searchsorted(positives, some - delta, right=True)
        high = torch.searchsorted(positives, some + delta)
        around = totals[high] - totals[low]
        gaps = some * around - (moments[high] - moments[low])
        return totals[low] + gaps / (2 * delta) + around / 2

    chunks = logits.split(ROWS_AT_ONCE)
    return torch.cat([suffered(chunk.double()).to(logits.dtype) for chunk in chunks])
