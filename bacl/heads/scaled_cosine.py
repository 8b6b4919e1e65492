"""Cosines of features and classes, for losses with margins between angles."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.heads.predictors import Predictor
from bacl.options.ranges import Positive


class ScaledCosine(Predictor):
    """Logits s · cos(x, w), without bias: between -s and s.

    Args:
        in_features: D.
        out_features: K.
        scale: s.
    """

    def __init__(self, in_features: int, out_features: int, scale: Positive) -> None:
        super().__init__()
        self.cosine_scale = scale
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D)."""
        cosines = functional.linear(
            functional.normalize(features), functional.normalize(self.weight)
        )
        return self.cosine_scale * cosines
