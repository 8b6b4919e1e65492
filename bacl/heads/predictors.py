"""Predictors other than a linear layer: from RoI features to the logits of a loss.

R: rows. D: width of an RoI feature. K: logits of the loss. C: foreground classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.options.ranges import Positive

SMALLEST = 1e-6
"""Added to every norm before it divides; published code of the Seesaw loss."""


class Predictor(nn.Module, ABC):
    """What stands in place of `nn.Linear` in a classifier; made from D and K.

    It uses no global random generator but in its constructor, and keeps what it gathers in buffers.

    Attributes:
        needs_start: whether a part of it does not train, and makes sense only once it is inherited.
    """

    needs_start: bool = False

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D); in eval mode those that scores are made of."""

    @property
    def classes(self) -> nn.Module:
        """The module with a `weight` row (K, D) for each logit.

        It is what a stage inherits from the classifier of the stage before, and what the loss
        initialises.
        """
        return self

    def initialise(self, by_loss: Callable[[nn.Module], None]) -> None:
        """Set the first weights of a new predictor, as the loss does unless it has ways of its own.

        Args:
            by_loss: sets those of a module with `weight` and, maybe, `bias`.
        """
        by_loss(self.classes)

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Fold one training step into statistics, after its loss; every process calls it.

        Args:
            features: (R, D), detached.
            labels: (R,) int64 in [0, C].
        """


def class_module(predictor: nn.Module) -> nn.Module:
    """The module of a predictor with a `weight` row for each logit: of most, the predictor."""
    return predictor.classes if isinstance(predictor, Predictor) else predictor


class NormalisedLinear(Predictor):
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
