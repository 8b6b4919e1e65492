"""Pairwise class balance (PCB; He et al., CVPR 2022): classes are told what they are taken for.

P: foreground rows. R: all rows. C: foreground classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.epochs import FollowsEpochs
from bacl.losses.iterations import FollowsIterations
from bacl.options.ranges import Classes, Share
from bacl.processes.class_sums import sum_per_class

MovedRows = tuple[Tensor, Tensor]
"""Classes (U,) that occur in a step, and their rows of the matrix (U, C) float64 after it."""


class PCB(FollowsEpochs, FollowsIterations, SoftmaxCrossEntropy):
    """Softmax cross-entropy, and a pull of objects towards the classes that are taken for theirs.

    Row i of the confusion matrix A follows the mean of the rows of class i of a softmax over the
    foreground logits: A_i = decay · A_i + (1 - decay) · mean, divided by its sum. A row of class y
    has the soft target p(k) = A_ky / sum_m A_my, and none of background. After a share `deferred`
    of the stage's epochs a foreground row's loss is
    (1 - a) · cross-entropy + a · KL(p || softmax), with a = alpha · t / (T - 1) in iteration t of T
    (`bacl.heads.RefiningClassifier`), or a = alpha in a classifier that does not refine. As
    published, the matrix is moved by a step before the step's loss is computed.

    Decided here: a class has soft targets as soon as it has been seen. In the published code all
    classes wait until each has been, which is the same in the epochs in question, unless a class
    has no object at all: then it is never.

    Args:
        num_classes: C.
        alpha: greatest weight of the soft targets.
        decay: share of the past in the matrix.
        deferred: share of the epochs before the soft targets; 1 for none.
        indicator: see `ClassificationLoss`.
    """

    matrix: Tensor
    """(C, C) float64 in [0, 1], the sum of a row 1, or 0 before its class was seen."""

    def __init__(
        self,
        num_classes: Classes,
        alpha: Share,
        decay: Share,
        deferred: Share,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.alpha = alpha
        self.decay = decay
        self.deferred = deferred
        self.balanced = False
        self.share = 1.0
        self._step: tuple[Tensor, MovedRows] | None = None
        """Labels and moved rows of the last `forward`: `observe` need not sum over processes again.
        """
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.float64)
        self.register_buffer("matrix", zeros)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set soft targets from this epoch on, if enough have passed."""
        self.balanced = self.deferred < 1 and epoch >= self.deferred * epochs

    def begin_iteration(self, share: float) -> None:
        """See `FollowsIterations`."""
        self.share = share

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits (R, C + 1), summed over rows, divided by R."""
        weight = self.alpha * self.share
        if not self.balanced or weight == 0:
            return super().forward(logits, labels)
        logits = in_float32(logits)
        classes, moved = step = self._moved(logits.detach(), labels)
        self._step = labels, step
        rows = self._foreground(labels)
        columns = self.matrix.index_select(1, labels[rows])
        columns = columns.index_copy(0, classes, moved.index_select(1, labels[rows]))
        targets = normalised(columns).to(logits.dtype)
        scores = logits.log_softmax(dim=1)
        hard = functional.nll_loss(scores, labels, reduction="none")
        soft = functional.kl_div(scores[rows, : self.num_classes], targets, reduction="sum")
        total = hard.sum() - weight * hard[rows].sum() + weight * soft
        return total / max(1, len(labels))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Move the matrix, as the step's loss has it; see `ClassificationLoss`."""
        super().observe(logits, labels)
        step, self._step = self._step, None
        if step is None or step[0] is not labels:
            step = labels, self._moved(in_float32(logits), labels)
        self.matrix.index_copy_(0, *step[1])

    @torch.no_grad()
    def _moved(self, logits: Tensor, labels: Tensor) -> MovedRows:
        """Of the matrix after a step, of all processes; all of it would be 1.4 GB of 13,204."""
        rows = self._foreground(labels)
        scores = logits[rows, : self.num_classes].softmax(dim=1)
        sums = sum_per_class(scores, labels[rows], self.num_classes)
        means = sums.totals / sums.counts.unsqueeze(1)
        moved = self.matrix[sums.classes].lerp(means, 1 - self.decay)
        moved = moved / moved.sum(dim=1, keepdim=True).clamp(min=torch.finfo(moved.dtype).tiny)
        return sums.classes, moved

    def _foreground(self, labels: Tensor) -> Tensor:
        return (labels < self.num_classes).nonzero().squeeze(1)


def normalised(columns: Tensor) -> Tensor:
    """(P, C) in [0, 1]: columns (C, P) of a confusion matrix, each divided by its sum.

    Args:
        columns: non-negative; of a column of zeros the targets are zeros.
    """
    sums = columns.sum(dim=0, keepdim=True).clamp(min=torch.finfo(columns.dtype).tiny)
    return (columns / sums).t()
