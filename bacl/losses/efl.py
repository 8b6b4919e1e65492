"""Equalized focal loss (EFL; Li et al., CVPR 2022), as a loss of RoIs."""

import torch
from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.focal import focal_cross_entropy, focal_terms
from bacl.options.ranges import Classes, NotNegative, Positive, Probability, Share
from bacl.processes.distributed import sum_over_processes

SMALLEST = 1e-10
"""Added to the negative gradients before they divide; published code."""


class EFL(BinaryCrossEntropy):
    """Focal loss whose exponent is the larger, the more a class is suppressed.

    g is the ratio, at most 1, of the sizes of the gradients that a class has gathered from its own
    rows to those from others, 1 before there are any. The exponent is gamma + scale (1 - g), and
    the losses are multiplied by its ratio to gamma; both are constants of the gradient.

    Published for a single-stage detector, where the positive anchors divide loss and gradients. As
    a loss of RoIs (Ma et al., 2025, do not say how) the rows divide the loss, and the gradients are
    gathered undivided, so that a step with few rows weighs little. They are computed of the step's
    logits, in place of a hook on these.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        gamma: least exponent.
        scale: by how much it grows at most.
        alpha: weight of the own class; others have 1 - alpha.
        indicator: see `ClassificationLoss`.
    """

    positive: Tensor
    """(C,) float64, gathered from rows of the class."""
    negative: Tensor
    """(C,) float64, from all other rows."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        gamma: Positive,
        scale: NotNegative,
        alpha: Share,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.gamma = gamma
        self.scale = scale
        self.alpha = alpha
        self.register_buffer("positive", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("negative", torch.zeros(num_classes, dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over the channels of logits (R, C) and over rows, divided by R."""
        gamma, weight = self._terms(in_float32(logits).dtype)
        return focal_cross_entropy(logits, labels, gamma, self.alpha, weight)

    def ratio(self) -> Tensor:
        """(C,) float64 in [0, 1]: g."""
        ratio = (self.positive / (self.negative + SMALLEST)).clamp(max=1)
        return ratio.masked_fill(self.positive + self.negative == 0, 1.0)

    def exponents(self) -> Tensor:
        """(C,) float64."""
        return self.gamma + self.scale * (1 - self.ratio())

    def weights(self) -> Tensor:
        """(C,) float64, which the losses are multiplied by."""
        return self.exponents() / self.gamma

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Gather the step's gradients, with the exponents of its loss; see `ClassificationLoss`."""
        super().observe(logits, labels)
        logits = in_float32(logits)
        gamma, weight = self._terms(logits.dtype)
        _, slopes, own = focal_terms(logits, labels, gamma, self.alpha, weight)
        sizes = slopes.abs_().double()
        gained = (sizes * own).sum(dim=0)
        step = sum_over_processes(torch.stack([gained, sizes.sum(dim=0) - gained]))
        self.positive += step[0]
        self.negative += step[1]

    def _terms(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.exponents().to(dtype), self.weights().to(dtype)
