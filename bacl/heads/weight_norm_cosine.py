"""The classifier of RIO (Chang et al., ICML 2021): cosines with a length for each class."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.heads.predictors import Predictor
from bacl.options.ranges import Positive

SMALLEST = 1e-5
"""Added to the length of a feature before it divides; published code."""


class WeightNormCosine(Predictor):
    """Logits factor · g_j · cos(x, v_j) with directions v and lengths g, which both train.

    A weight-normalised layer without bias on features of length 1: no pure cosine, as its lengths
    tell classes apart. It starts as the published code does, with v uniform in ±1 / sqrt(D) and
    g = |v|, about 0.58, whatever the loss.

    Args:
        in_features: D.
        out_features: K.
        factor: of every logit.
    """

    def __init__(self, in_features: int, out_features: int, factor: Positive) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.lengths = nn.Parameter(torch.empty(out_features))

    @torch.no_grad()
    def initialise(self, by_loss: Callable[[nn.Module], None]) -> None:
        """See the class."""
        limit = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -limit, limit)
        self.lengths.copy_(self.weight.norm(dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D)."""
        unit = features / (features.norm(dim=1, keepdim=True) + SMALLEST)
        weight = self.lengths.unsqueeze(1) * functional.normalize(self.weight)
        return self.factor * functional.linear(unit, weight)
