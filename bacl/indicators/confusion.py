"""Second-order dynamic indicators: the confusion matrix, soft (Tab. II) and hard (Eq. 14)."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from bacl.indicators.base import PROBABILITY_FLOOR, PairwiseIndicator
from bacl.indicators.foreground import Foreground
from bacl.indicators.stacked import stacked
from bacl.options.ranges import Classes
from bacl.processes.distributed import sum_over_processes


class ConfusionMatrix(PairwiseIndicator):
    """M_ij, the mean over the samples of class i of the softmax probability of class j.

    The softmax runs over the C foreground logits, without background and without margin; the mean
    runs over all samples seen so far, hallucinated ones included. l_j / l_i is M_ij / M_ji.
    It takes 8 C² bytes: 12 MB of LVIS, 1.4 GB of 13,204 classes (`SparseConfusionMatrix`: 81 MB).

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

    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Add the step's foreground rows, of all processes."""
        own = foreground or Foreground.among(labels, self.num_classes)
        alone = [self], logits.unsqueeze(0), labels.unsqueeze(0)
        ConfusionMatrix.observe_together(*alone, own)

    @classmethod
    @torch.no_grad()
    def observe_together(
        cls,
        indicators: Sequence[Self],
        logits: Tensor,
        labels: Tensor,
        foreground: Foreground,
    ) -> None:
        """See `LongTermIndicator.observe_together`."""
        classes = indicators[0].num_classes
        answers = indicators[0]._answers(logits[:, foreground.rows, :classes].float())
        counts = sum_over_processes(foreground.counts)
        sums = foreground.totals(answers, counts)
        for indicator, (own, totals) in zip(indicators, sums, strict=True):
            indicator.numerator.index_add_(0, own, totals)
        torch._foreach_add_([each.counts for each in indicators], list(counts))

    def log_ratio(self, labels: Tensor) -> Tensor:
        """log(M_ij / M_ji), both no smaller than 1e-3."""
        return ConfusionMatrix.log_ratios([self], labels.unsqueeze(0))[0]

    @classmethod
    @torch.no_grad()
    def log_ratios(cls, indicators: Sequence[Self], labels: Tensor) -> Tensor:
        """See `LongTermIndicator.log_ratios`."""
        rows = list(zip(indicators, labels, strict=True))
        counts = stacked([each.counts for each in indicators]).clamp(min=1)
        given = stacked([each.numerator[own] for each, own in rows])
        given = given / counts.gather(1, labels).unsqueeze(2)
        reverse = stacked([each.numerator.index_select(1, own) for each, own in rows])
        reverse = (reverse / counts.unsqueeze(2)).transpose(1, 2)
        ratio = given.clamp(min=PROBABILITY_FLOOR) / reverse.clamp(min=PROBABILITY_FLOOR)
        return ratio.log().float()

    def strength(self) -> Tensor:
        """M_ii."""
        return ConfusionMatrix.strengths([self])[0]

    @classmethod
    def strengths(cls, indicators: Sequence[Self]) -> Tensor:
        """See `LongTermIndicator.strengths`."""
        counts = stacked([each.counts for each in indicators]).clamp(min=1)
        return (stacked([each.numerator.diagonal() for each in indicators]) / counts).float()

    def matrix(self) -> Tensor:
        """M as (C, C) float32, see `rows`."""
        return self.rows(torch.arange(self.num_classes, device=self.counts.device))

    def rows(self, labels: Tensor) -> Tensor:
        """See `PairwiseIndicator.rows`."""
        counts = self.counts[labels].clamp(min=1)
        return (self.numerator[labels] / counts.unsqueeze(1)).float()

    @staticmethod
    def _answers(logits: Tensor) -> Tensor:
        """(H, P, C) what each foreground row adds to the row of its label."""
        return logits.softmax(dim=-1)


class HardConfusionMatrix(ConfusionMatrix):
    """Eq. 14: a sample counts wholly for the class of its largest foreground logit."""

    @staticmethod
    def _answers(logits: Tensor) -> Tensor:
        """One-hot of the largest logit."""
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(dim=-1, keepdim=True), 1)
