"""Equalization loss v2 (Tan et al., CVPR 2021): classes are balanced by their gradients."""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.bce import BinaryCrossEntropyWithObjectness
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, NotNegative, Probability
from bacl.processes.distributed import sum_over_processes

SMALLEST = 1e-10
"""Added to the negative gradients before they divide; published code."""
UNSEEN = 100.0
"""Ratio of a class without any gradient yet, whose weights are then 1; published code."""


class EQLv2(BinaryCrossEntropyWithObjectness):
    """Sigmoid cross-entropy with objectness, each class weighted by its gradients of the past.

    g_j is the ratio of the gradients that class j has gathered from its own rows (positive) to
    those from all other rows (negative), summed over all of training. A class that is mostly
    suppressed has a small g_j: its negative losses are weighted by q_j = sigmoid(gamma (g_j - mu))
    and its positive ones by 1 + alpha (1 - q_j). The background channel keeps weight 1, and so does
    a class without any gradient yet.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        gamma: steepness of the weight.
        mu: ratio at which the negative weight is one half.
        alpha: by how much positive weights grow.
        indicator: see `ClassificationLoss`.
    """

    positive: Tensor
    negative: Tensor

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        gamma: NotNegative,
        mu: NotNegative,
        alpha: NotNegative,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.gamma = gamma
        self.mu = mu
        self.alpha = alpha
        # Weighted sums over rows of |p - t|, the sizes of the sigmoids' gradients.
        self.register_buffer("positive", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("negative", torch.zeros(num_classes, dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted Eq. 2 of logits (R, C + 1), summed over channels and rows, divided by R."""
        logits = in_float32(logits)
        positive, negative = (weight.to(logits.dtype) for weight in self.weights())
        own = labels.unsqueeze(1)
        weight = negative.expand(len(labels), -1).scatter(1, own, positive[own])
        return sigmoid_cross_entropy(logits, labels, weight=weight)

    def ratio(self) -> Tensor:
        """(C,) float64: g."""
        ratio = self.positive / (self.negative + SMALLEST)
        return ratio.masked_fill(self.positive + self.negative == 0, UNSEEN)

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weights of positive and of negative losses, (C + 1,) float64 each."""
        negative = (self.gamma * (self.ratio() - self.mu)).sigmoid()
        positive = 1 + self.alpha * (1 - negative)
        return functional.pad(positive, (0, 1), value=1), functional.pad(negative, (0, 1), value=1)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Gather the step's gradients, weighted as its loss was; see `ClassificationLoss`."""
        super().observe(logits, labels)
        size = in_float32(logits).sigmoid()  # of the gradient of every negative
        own = labels.unsqueeze(1)
        gaps = 1 - size.gather(1, own).squeeze(1)
        gained = size.new_zeros(self.num_classes + 1, dtype=torch.float64)
        # index_put_ sums in a fixed order on CUDA too: runs repeat bit for bit.
        gained.index_put_((labels,), gaps.double(), accumulate=True)
        suffered = size.scatter_(1, own, 0).sum(dim=0, dtype=torch.float64)
        step = sum_over_processes(torch.stack([gained, suffered]))
        step *= torch.stack(self.weights())
        self.positive += step[0, : self.num_classes]
        self.negative += step[1, : self.num_classes]
