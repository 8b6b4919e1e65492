"""Sigmoid cross-entropy, without and with an objectness branch (Eq. 2-5)."""

import math

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.base import ClassificationLoss, set_bias
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Probability


class BinaryCrossEntropy(ClassificationLoss):
    """One sigmoid per foreground class (K = C); a background row has no positive channel.

    Args:
        num_classes: C.
        prior: probability in (0, 1) that a new classifier gives to every channel.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self, num_classes: Classes, prior: Probability, indicator: LongTermIndicator | None = None
    ) -> None:
        super().__init__(num_classes, indicator)
        self.prior = prior

    @property
    def num_logits(self) -> int:
        """K = C."""
        return self.num_classes

    def initialise(self, predictor: nn.Module) -> None:
        """Weights N(0, 0.01); every bias, where there is one, such that its sigmoid is `prior`."""
        super().initialise(predictor)
        set_bias(predictor, math.log(self.prior / (1 - self.prior)))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 2, summed over the channels of logits (R, K) and over rows, divided by R."""
        return sigmoid_cross_entropy(logits, labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoids of (R, C) with a background column of zeros: there is no background output."""
        return nn.functional.pad(in_float32(logits).sigmoid(), (0, 1))


class BinaryCrossEntropyWithObjectness(BinaryCrossEntropy):
    """C + 1 sigmoids: the last is an objectness branch whose positives are the background rows."""

    @property
    def num_logits(self) -> int:
        """K = C + 1."""
        return self.num_classes + 1

    def probabilities(self, logits: Tensor) -> Tensor:
        """Eq. 5 of (…, C + 1): p_j (1 - p_background) for foreground j; background as it is."""
        scores = in_float32(logits).sigmoid()
        return torch.cat([self._of_classes(scores), scores[..., self.num_classes :]], dim=-1)

    def foreground_probabilities(self, logits: Tensor) -> Tensor:
        """The first C columns (…, C) of `probabilities`."""
        return self._of_classes(in_float32(logits).sigmoid())

    def _of_classes(self, scores: Tensor) -> Tensor:
        foreground, background = scores.split([self.num_classes, 1], dim=-1)
        return foreground * (1 - background)
