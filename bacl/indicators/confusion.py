"""Second-order dynamic indicators: the confusion matrix, soft (Tab. II) and hard (Eq. 14)."""

import torch
from torch import Tensor

from bacl.indicators.base import PROBABILITY_FLOOR, LongTermIndicator
from bacl.indicators.foreground import Foreground
from bacl.options.ranges import Classes
from bacl.processes.distributed import sum_over_processes


class ConfusionMatrix(LongTermIndicator):
    """M_ij, the mean over the samples of class i of the softmax probability of class j.

    The softmax runs over the C foreground logits, without background and without margin; the mean
    runs over all samples seen so far, hallucinated ones included. l_j / l_i is M_ij / M_ji.

    Args:
        num_classes: C.
    """

    numerator: Tensor
    """(C, C) float64: summed probabilities, row = label."""
    counts: Tensor
    """(C,) int64: samples of each class."""

    def __init__(self, num_classes: Classes) -> None:
        super().__init__(num_classes)
        self.register_buffer(
            "numerator", torch.zeros(num_classes, num_classes, dtype=torch.float64)
        )
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Add the step's foreground rows, of all processes."""
        own = foreground or Foreground.among(labels, self.num_classes)
        answers = self._answers(logits[own.rows, : self.num_classes].float())
        counts = sum_over_processes(own.counts)
        sums = own.totals(answers, counts)
        self.numerator.index_add_(0, sums.classes, sums.totals)
        self.counts += counts

    @torch.no_grad()
    def log_ratio(self, labels: Tensor) -> Tensor:
        """log(M_ij / M_ji), both no smaller than 1e-3."""
        counts = self.counts.clamp(min=1)
        given = self.numerator[labels] / counts[labels].unsqueeze(1)
        reverse = (self.numerator.index_select(1, labels) / counts.unsqueeze(1)).t()
        ratio = given.clamp(min=PROBABILITY_FLOOR) / reverse.clamp(min=PROBABILITY_FLOOR)
        return ratio.log().float()

    def strength(self) -> Tensor:
        """M_ii."""
        return (self.numerator.diagonal() / self.counts.clamp(min=1)).float()

    def matrix(self) -> Tensor:
        """M as (C, C) float32; rows of classes that have not been seen are zero."""
        return (self.numerator / self.counts.clamp(min=1).unsqueeze(1)).float()

    def _answers(self, logits: Tensor) -> Tensor:
        """(P, C) what each foreground row adds to the row of its label."""
        return logits.softmax(dim=1)


class HardConfusionMatrix(ConfusionMatrix):
    """Eq. 14: a sample counts wholly for the class of its largest foreground logit."""

    def _answers(self, logits: Tensor) -> Tensor:
        """One-hot of the largest logit."""
        return torch.zeros_like(logits).scatter_(1, logits.argmax(dim=1, keepdim=True), 1)
