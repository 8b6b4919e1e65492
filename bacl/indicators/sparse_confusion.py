"""The confusion matrix of many thousand categories: of each row its largest entries.

C: foreground classes; label C is background. K: entries that are kept of a row. P: foreground rows.
U: classes that occur in a step.
"""

import torch
from torch import Tensor

from bacl.indicators.base import PROBABILITY_FLOOR, PairwiseIndicator
from bacl.indicators.foreground import Foreground
from bacl.options.ranges import Classes, Count
from bacl.processes.distributed import sum_over_processes

LOOKED_UP = 2**22
"""Kept entries that are compared with a step's classes at once: the memory that this takes."""
SHORT = 2**15
"""Columns below it are kept in two bytes each."""


class SparseConfusionMatrix(PairwiseIndicator):
    """`ConfusionMatrix`, of which a row keeps its diagonal and its `kept` largest other sums.

    A whole matrix of 13,204 classes is 1.4 GB a head; this one, with 1,024 entries a row, 81 MB.
    Probabilities below 1e-3 enter Eq. 7 as 1e-3, and no more than 1,000 of a row can be larger.

    Whenever a row has more than `kept` sums, all are lowered by the largest that has no place, and
    what falls to zero is left out: Misra-Gries summaries, merged (Agarwal et al., Mergeable
    Summaries, PODS 2012). Read with all that its row was lowered by, an entry that has always had a
    place is M_ij of the whole matrix; another one differs by no more than `error()`_i, to either
    side, and that is below 1 / (kept + 1). With `kept` = C - 1, or where a class is never taken for
    more than `kept` others, all entries are M_ij. M_ii is exact always.

    Args:
        num_classes: C.
        kept: K, C - 1 at most; with 1,000 or more the error is below the 1e-3 of Eq. 7 whatever the
            logits. Memory and checkpoints grow with C · kept: 6 bytes an entry, 8 where C > 32,768.
    """

    own: Tensor
    """(C,) float64: summed probabilities of the rows' own class."""
    counts: Tensor
    """(C,) int64: samples of each class."""
    columns: Tensor
    """(C, K) int16, or int32 where C > 32,768: of which class each kept sum is."""
    sums: Tensor
    """(C, K) float32 from the largest on: summed probabilities, lowered; zero is no entry. Rows of
    a step are added in float64 and rounded once, so that steps count, not rows: what a step adds is
    lost only where it is less than a 2^25th of the sum."""
    lowered: Tensor
    """(C,) float64: by how much the sums of each row have been lowered."""

    def __init__(self, num_classes: Classes, kept: Count) -> None:
        super().__init__(num_classes)
        size = num_classes, min(kept, num_classes - 1)
        short = torch.int16 if num_classes <= SHORT else torch.int32
        self.register_buffer("own", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("columns", torch.zeros(size, dtype=short))
        self.register_buffer("sums", torch.zeros(size))
        self.register_buffer("lowered", torch.zeros(num_classes, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Add the step's foreground rows, of all processes."""
        step = foreground or Foreground.among(labels, self.num_classes)
        answers = logits[step.rows, : self.num_classes].float().softmax(dim=-1)
        counts = sum_over_processes(step.counts)
        ((classes, totals),) = step.totals(answers.unsqueeze(0), counts)
        occur = counts[0, classes].unsqueeze(1) > 0
        # Places of no class stand for class 0: all of them are to write what its own place does.
        of_first = (classes == 0).unsqueeze(1)
        totals = torch.where(of_first, torch.where(of_first[:1], totals[:1], 0), totals)
        columns, sums, lowered = self._merged(classes, totals)
        self.columns[classes] = torch.where(occur, columns, self.columns[classes])
        self.sums[classes] = torch.where(occur, sums, self.sums[classes])
        self.lowered[classes] += torch.where(occur, lowered, 0).squeeze(1)
        self.own[classes] += totals.gather(1, classes.unsqueeze(1)).squeeze(1)
        self.counts += counts[0]

    def _merged(self, classes: Tensor, totals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Columns and sums (U, K) of classes (U,) with the step's totals (U, C) float64.

        And (U, 1) by how much the sums are lowered.
        """
        whole = self._whole(classes, self.sums[classes]).add_(totals)
        largest = whole.scatter_(1, classes.unsqueeze(1), 0).topk(self.sums.shape[1] + 1)
        lowered = largest.values[:, -1:]
        sums = (largest.values[:, :-1] - lowered).float()
        return largest.indices[:, :-1].to(self.columns.dtype), sums, lowered

    def _whole(self, labels: Tensor, sums: Tensor) -> Tensor:
        """(P, C) float64: sums (P, K) of rows (P,), where they belong."""
        whole = self.own.new_zeros(len(labels), self.num_classes)
        return whole.scatter_add_(1, self.columns[labels].long(), sums.double())

    @staticmethod
    def _raised(entries: Tensor, lowered: Tensor) -> Tensor:
        """Entries of rows that were lowered, as high as they were; without one there is zero."""
        return torch.where(entries > 0, entries + lowered, 0)

    @torch.no_grad()
    def log_ratio(self, labels: Tensor) -> Tensor:
        """log(M_ij / M_ji), both no smaller than 1e-3."""
        given, reverse = self._rows(labels), self._columns(labels)
        ratio = given.clamp(min=PROBABILITY_FLOOR) / reverse.clamp(min=PROBABILITY_FLOOR)
        return ratio.log().float()

    def _rows(self, labels: Tensor) -> Tensor:
        """(P, C) float64: M_ij of rows i."""
        column = labels.unsqueeze(1)
        whole = self._raised(self._whole(labels, self.sums[labels]), self.lowered[column])
        whole.scatter_(1, column, self.own[column])
        return whole / self.counts.clamp(min=1)[column]

    def _columns(self, labels: Tensor) -> Tensor:
        """(P, C) float64: M_ji of columns i. All kept entries are looked through."""
        size = len(labels)
        place = torch.full_like(self.counts, size)
        place[labels] = torch.arange(size, device=labels.device)
        found = self.sums.new_zeros(self.num_classes, size + 1)  # the last for all other classes
        block = max(1, LOOKED_UP // max(1, self.sums.shape[1]))
        parts = (found.split(block), self.columns.split(block), self.sums.split(block))
        for answers, columns, sums in zip(*parts, strict=True):
            answers.scatter_add_(1, place[columns.long()], sums)
        # Of a class that is asked for twice there is one place.
        answers = self._raised(found.t()[place[labels]].double(), self.lowered)
        answers.scatter_(1, labels.unsqueeze(1), self.own[labels].unsqueeze(1))
        return answers / self.counts.clamp(min=1)

    def strength(self) -> Tensor:
        """M_ii."""
        return (self.own / self.counts.clamp(min=1)).float()

    def rows(self, labels: Tensor) -> Tensor:
        """See `PairwiseIndicator.rows`."""
        return self._rows(labels).float()

    def error(self) -> Tensor:
        """(C,) float64 in [0, 1 / (K + 1)): by how much entries of a row can be wrong."""
        return self.lowered / self.counts.clamp(min=1)
