"""Focal loss (Lin et al., ICCV 2017): what is classified well counts little."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.bce import BinaryCrossEntropy
from bacl.options.ranges import Classes, NotNegative, Probability, Share


class Focal(BinaryCrossEntropy):
    """One sigmoid per foreground class, with losses a (1 - q)^gamma (-log q).

    q is the probability of what is true of a channel: p for a row's own class, 1 - p for others; a
    is alpha for the own class and 1 - alpha for others. The paper divides by the positive anchors
    of a single-stage detector; here, as in all losses of RoIs, the rows divide.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        gamma: exponent.
        alpha: weight of the own class.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        gamma: NotNegative,
        alpha: Share,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over the channels of logits (R, C) and over rows, divided by R."""
        return focal_cross_entropy(logits, labels, self.gamma, self.alpha)


def focal_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    gamma: float | Tensor,
    alpha: float,
    weight: float | Tensor = 1.0,
) -> Tensor:
    """Sum of weight · a (1 - q)^gamma (-log q) over rows and channels, divided by the rows.

    Args:
        logits: (R, K) of any floating type; computed in float32 at least.
        labels: (R,) int64; a label of K or more is a row without a positive channel.
        gamma: for all channels, or (K,); constant.
        alpha: a of the own class; others have 1 - alpha.
        weight: for all channels, or (K,); constant.

    Returns:
        Scalar; zero with a graph where R is zero.
    """
    return _FocalCrossEntropy.apply(in_float32(logits), labels, gamma, alpha, weight)


def focal_terms(
    logits: Tensor, labels: Tensor, gamma: float | Tensor, alpha: float, weight: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses (R, K) as above and their derivatives, and where the own classes are, (R, K) bool."""
    channels = torch.arange(logits.shape[1], device=logits.device)
    own = channels == labels.unsqueeze(1)
    truth = torch.where(own, logits, -logits)
    log_q, log_rest = functional.logsigmoid(truth), functional.logsigmoid(-truth)
    factor = torch.where(own, alpha, 1 - alpha) * weight * (gamma * log_rest).exp()
    slopes = factor * (gamma * log_q.exp() * log_q - log_rest.exp())
    return -factor * log_q, torch.where(own, slopes, -slopes), own


class _FocalCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        gamma: float | Tensor,
        alpha: float,
        weight: float | Tensor,
    ) -> Tensor:
        losses, slopes, _ = focal_terms(logits, labels, gamma, alpha, weight)
        ctx.save_for_backward(slopes)
        return losses.sum() / max(1, len(labels))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * (gradients[0] / max(1, len(slopes))), None, None, None, None
