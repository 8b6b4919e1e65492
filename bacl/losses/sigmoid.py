"""Sigmoid cross-entropy over rows and channels, with margins and weights on some rows.

Loss and derivative come out of one pass: the derivative is what the loss computes anyway, so the
backward pass is a single product. torch's own formula spends nearly all its time on a CPU in log1p.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bacl.detectors.full_precision import in_float32


def sigmoid_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    rows: Tensor | None = None,
    margin: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Sum of weight · BCE(z + margin) over rows and channels, divided by the number of rows.

    Args:
        logits: (…, R, K) of any floating type; computed in float32 at least. Leading dimensions
            are heads that are computed together, each as alone.
        labels: (…, R) int64; a label of K or more is a row without a positive channel.
        rows: (P,) indices, each at most once, of the rows that margin and weight belong to; None:
            weight belongs to all rows (P = R), and there is no margin.
        margin: (…, P, at most K) added to the first channels of these rows; constant.
        weight: (…, P, K) of these rows; constant.

    Returns:
        (…,), a scalar of each head; zero with a graph where R is zero.
    """
    return _SigmoidCrossEntropy.apply(in_float32(logits), labels, rows, margin, weight)


class _SigmoidCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        rows: Tensor | None,
        margin: Tensor | None,
        weight: Tensor | None,
    ) -> Tensor:
        if margin is not None and rows is not None:
            logits = logits.clone()
            logits[..., : margin.shape[-1]].index_add_(-2, rows, margin.to(logits.dtype))
        losses, slopes = _terms(logits, labels)
        if weight is not None:
            every = slice(None) if rows is None else rows
            losses[..., every, :] *= weight
            slopes[..., every, :] *= weight
        ctx.save_for_backward(slopes)
        return losses.sum(dim=-1).sum(dim=-1) / max(1, labels.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        scale = gradients[0] / max(1, slopes.shape[-2])
        return slopes * scale[..., None, None], None, None, None, None


def _terms(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """BCE of every row and channel (…, R, K), and its derivatives of the same shape."""
    slopes = logits.sigmoid()
    # softplus(z) = max(z, 0) - log(sigmoid(|z|)), and sigmoid(|z|) is the larger of p and 1 - p.
    # Every fresh tensor of this size costs more than its arithmetic, so these work in place.
    certainty = 1 - slopes
    torch.maximum(certainty, slopes, out=certainty).log_()
    losses = logits.clamp(min=0).sub_(certainty)
    negative = logits.new_empty((*labels.shape, 1))  # -1 of a row with a positive channel, or 0
    torch.mul((labels < logits.shape[-1]).unsqueeze(-1), -1.0, out=negative)
    column = labels.clamp(max=logits.shape[-1] - 1).unsqueeze(-1)
    losses.scatter_add_(-1, column, negative * logits.gather(-1, column))
    slopes.scatter_add_(-1, column, negative)
    return losses, slopes
