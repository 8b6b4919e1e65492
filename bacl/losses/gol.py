"""Gumbel optimised loss (GOL; Alexandridis et al., ECCV 2022): DropLoss of Gumbel activations."""

import math

from torch import Tensor, nn
from torch.nn import functional

from bacl.indicators import Counts, LongTermIndicator
from bacl.losses.droploss import DropLoss
from bacl.losses.gumbel import BIAS, gumbel, gumbel_cross_entropy, initialise
from bacl.options.ranges import Classes, Seed, Share


class GOL(DropLoss):
    """`DropLoss` with probabilities exp(-exp(-z)) in place of sigmoids.

    Training clamps logits as `GumbelCrossEntropy` does, but not the loss.

    Args:
        num_classes: C.
        tail: lambda, share of the annotated images that ends the tail; None for 100 images.
        statistics: of the training annotations: counts of images.
        seed: of the draws.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    def __init__(
        self,
        num_classes: Classes,
        tail: Share | None,
        statistics: Counts,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        prior = math.exp(-math.exp(-BIAS))
        super().__init__(num_classes, prior, tail, statistics, seed, indicator)

    def initialise(self, predictor: nn.Module) -> None:
        """As `GumbelCrossEntropy`."""
        initialise(predictor)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits (R, C) where it counts, summed over channels and rows, divided by R."""
        return gumbel_cross_entropy(logits, labels, self.kept(labels))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of (R, C), with a background column of zeros: there is no background output."""
        return functional.pad(gumbel(logits), (0, 1))
