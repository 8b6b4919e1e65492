"""Predictors other than a linear layer: from RoI features to the logits of a loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.options.ranges import Positive

SMALLEST = 1e-6
"""Added to every norm before it divides; published code of the Seesaw loss."""


class NormalisedLinear(nn.Module):
    """Scaled cosines of features and classes: temperature · x · w / (|x| |w|) + b.

    Used by Seesaw loss (Wang et al., CVPR 2021), ECM and others with temperature 20.

    Args:
        in_features: D.
        out_features: K.
        temperature: factor of the cosine, above 0.
    """

    def __init__(self, in_features: int, out_features: int, temperature: Positive) -> None:
        super().__init__()
        self.temperature = temperature
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D)."""
        cosines = functional.linear(_normalised(features), _normalised(self.weight))
        return self.temperature * cosines + self.bias


def _normalised(rows: Tensor) -> Tensor:
    """(N, D) with every row divided by its length; rows of zeros stay zero."""
    return rows / (rows.norm(dim=1, keepdim=True) + SMALLEST)
