"""Seesaw loss (Wang et al., CVPR 2021): softmax whose punishment of rare classes is eased."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.base import ClassificationLoss
from bacl.options.ranges import Classes, NotNegative
from bacl.processes.class_sums import rows_per_class
from bacl.processes.distributed import sum_over_processes

SMALLEST = 0.01
"""The own class's probability divides no smaller than this; published code."""


class Seesaw(ClassificationLoss):
    """Softmax over the foreground classes of foreground rows, and an objectness softmax of all.

    K = C + 2: the foreground classes, then object and background. In a row of class i the term of
    class j in the softmax is multiplied by S_ij = M_ij K_ij. Mitigation M_ij = (n_j / n_i)^p eases
    the suppression of classes with fewer samples n_j < n_i than the row's; compensation
    K_ij = (s_j / s_i)^q restores it where j is the more probable (softmax s_j > s_i). Both are
    constants of the gradient; 1 elsewhere.

    n counts the rows of all steps, the present one included, over all processes (the published code
    counts each process's rows for itself).

    Args:
        num_classes: C.
        mitigation: p, at least 0; 0 for none.
        compensation: q, at least 0; 0 for none.
        indicator: see `ClassificationLoss`.
    """

    counts: Tensor

    def __init__(
        self,
        num_classes: Classes,
        mitigation: NotNegative,
        compensation: NotNegative,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.mitigation = mitigation
        self.compensation = compensation
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self._step: tuple[Tensor, Tensor] | None = None
        """Labels and counts of the last `forward`: `observe` need not sum over processes again."""

    @property
    def num_logits(self) -> int:
        """K = C + 2."""
        return self.num_classes + 2

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Both softmax losses of logits (R, C + 2), each summed over rows, divided by R."""
        classes, objectness = self._split(logits)
        rows = (labels < self.num_classes).nonzero().squeeze(1)
        own, eased = labels[rows], classes[rows]
        counts = self._counts_with(labels)
        self._step = labels, counts
        eased = eased + self.log_factors(eased.detach(), own, counts)
        background = (labels == self.num_classes).long()
        total = functional.cross_entropy(eased, own, reduction="sum")
        total = total + functional.cross_entropy(objectness, background, reduction="sum")
        return total / max(1, len(labels))

    def log_factors(self, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """The log of S for foreground rows; zero for a row's own class.

        Args:
            logits: (P, C) of the foreground classes, detached.
            labels: (P,) in [0, C).
            counts: (C,) int64, n.

        Returns:
            (P, C).
        """
        # Where j = i both terms are zero: equal counts, and a score of at most the clamped own one.
        samples = counts.clamp(min=1).double().log().to(logits.dtype)
        mitigation = (samples - samples[labels].unsqueeze(1)).clamp(max=0)
        scores = logits.log_softmax(dim=1)
        own = scores.gather(1, labels.unsqueeze(1)).clamp(min=math.log(SMALLEST))
        return self.mitigation * mitigation + self.compensation * (scores - own).clamp(min=0)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes times that of object; background's own (Sec. 3.3)."""
        classes, objectness = self._split(logits)
        foreground, background = objectness.softmax(dim=1).split(1, dim=1)
        return torch.cat([classes.softmax(dim=1) * foreground, background], dim=1)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Count the step's foreground rows; see `ClassificationLoss`."""
        super().observe(logits, labels)
        step, self._step = self._step, None
        if step is None or step[0] is not labels:
            step = labels, self._counts_with(labels)
        self.counts = step[1]

    def _counts_with(self, labels: Tensor) -> Tensor:
        """(C,) int64: rows of the earlier steps and of this one, over all processes."""
        return self.counts + sum_over_processes(rows_per_class(labels, self.num_classes))

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        classes, objectness = in_float32(logits).split([self.num_classes, 2], dim=1)
        return classes, objectness
