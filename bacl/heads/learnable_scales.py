"""Learnable weight scaling (LWS; Kang et al., ICLR 2020): one factor per class."""

import torch
from torch import Tensor, nn

from bacl.heads.frozen_classifier import OnFrozenClassifier


class LearnableScales(OnFrozenClassifier):
    """The logits of a frozen classifier, each times a factor of its class: all that trains.

    As in the published code a factor takes the bias along; the paper writes of the weight.
    Background, which the paper's classification has not, has one as any class.

    Args:
        in_features: D.
        out_features: K.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.factors = nn.Parameter(torch.ones(out_features))

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D)."""
        logits: Tensor = self.base(features) * self.factors
        return logits
