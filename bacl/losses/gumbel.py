"""Cross-entropy of Gumbel activations (Alexandridis et al., ECCV 2022)."""

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import in_float32
from bacl.losses.base import ClassificationLoss, set_bias

WEIGHT, BIAS = 0.001, -2.0
"""Of a new classifier; published code."""
RANGE = (-4.0, 10.0)
"""Logits are clamped to in training; published code."""
LARGEST = 20.0
"""A loss is clamped to; published code."""


class GumbelCrossEntropy(ClassificationLoss):
    """Binary cross-entropy of C + 1 probabilities p = exp(-exp(-z)), background as class C.

    In training logits are clamped to [-4, 10] and the loss to 20, without gradient beyond.
    """

    def initialise(self, predictor: nn.Module) -> None:
        """Weights of 0.001 and bias -2: every probability is about 0.0006."""
        initialise(predictor)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over the channels of logits (R, C + 1) and over rows, divided by R."""
        return gumbel_cross_entropy(logits, labels).clamp(max=LARGEST)

    def probabilities(self, logits: Tensor) -> Tensor:
        """P of (R, C + 1)."""
        return gumbel(logits)


def initialise(predictor: nn.Module) -> None:
    """Set the first weights of a predictor of Gumbel logits."""
    nn.init.constant_(predictor.get_parameter("weight"), WEIGHT)
    set_bias(predictor, BIAS)


def gumbel(logits: Tensor) -> Tensor:
    """exp(-exp(-z)), in float32 at least."""
    return in_float32(logits).neg().exp().neg().exp()


def gumbel_cross_entropy(logits: Tensor, labels: Tensor, kept: Tensor | None = None) -> Tensor:
    """Sum of the losses that are kept over rows and channels, divided by the number of rows.

    Args:
        logits: (R, K) of any floating type; computed in float32 at least.
        labels: (R,) int64; a label of K or more is a row without a positive channel.
        kept: (R, K) bool, the losses that count; None for all.
    """
    positive = in_float32(logits).clamp(*RANGE).neg().exp()  # -log p
    negative = -(-(-positive).expm1()).log()  # -log(1 - p)
    channels = torch.arange(logits.shape[1], device=labels.device)
    losses = torch.where(channels == labels.unsqueeze(1), positive, negative)
    if kept is not None:
        losses = losses * kept
    return losses.sum() / max(1, len(labels))
