"""Equilibrium loss of LOCE (Feng, Zhong, Huang, ICCV 2021): margins from the classes' mean scores.

P: foreground rows.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import ScalarIndicator
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, PositiveShare, ShareBelowOne
from bacl.processes.distributed import sum_over_processes

SMALLEST = 1e-7
"""Least score that a margin is made of: a class that always scores 0 keeps a finite one."""


class MeanObjectScores(ScalarIndicator):
    """s_j = gamma^n s_j + (1 - gamma^n) m for a class with n objects of mean score m in a step.

    The equilibrium loss moves it: by rows alone nobody can tell which belong to one object.

    Args:
        num_classes: C.
        gamma: share of the past, per object.
        initial: score of a class that has not been seen.
    """

    floor = SMALLEST
    scores: Tensor
    """(C,) float64 in [0, 1]."""

    def __init__(self, num_classes: Classes, gamma: ShareBelowOne, initial: PositiveShare) -> None:
        super().__init__(num_classes)
        self.gamma = gamma
        self.register_buffer("scores", torch.full((num_classes,), initial, dtype=torch.float64))

    def moved(self, counts: Tensor, totals: Tensor) -> Tensor:
        """(C,) the scores after `counts` (C,) objects whose scores sum to `totals` (C,)."""
        return self.scores.lerp(totals / counts.clamp(min=1), 1 - self.gamma**counts)

    def values(self) -> Tensor:
        """The scores."""
        return self.scores

    def strength(self) -> Tensor:
        """The scores."""
        return self.scores.float()


class EquilibriumLoss(SoftmaxCrossEntropy):
    """Softmax cross-entropy of z + log s, s being the mean scores of the classes.

    So class j gets the margin log(s_j / s_i) in a row of class i: a class of lower scores
    suppresses less, and is suppressed less. Background has the score `initial` throughout, and
    its rows have margins, too.

    The scores are moved before they are used, by one number for each object: the mean softmax
    probability of its class over the RoIs that were sampled of it. Added rows (MFS) count as one
    object for each class among them, on each process. Over all processes, scores are those that
    one process with the whole batch has.

    Args:
        num_classes: C.
        gamma: share of the past, per object.
        initial: score of background, and of a class that has not been seen.
    """

    reads_rows = True
    indicator: MeanObjectScores

    def __init__(self, num_classes: Classes, gamma: ShareBelowOne, initial: PositiveShare) -> None:
        super().__init__(num_classes, MeanObjectScores(num_classes, gamma, initial))
        self.initial = initial
        self._step: tuple[Tensor, Tensor] | None = None
        """Labels and scores of the last `forward`: `observe` need not sum over processes again."""

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Cross-entropy of (R, C + 1) with margins, summed over rows, divided by R."""
        logits = in_float32(logits)
        scores = self._scores_with(logits.detach(), labels, rows)
        self._step = labels, scores
        every = functional.pad(scores, (0, 1), value=self.initial)
        return super().forward(logits + every.clamp(min=SMALLEST).log().to(logits.dtype), labels)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """Keep the scores that the step's loss was computed with."""
        assert rows is not None
        step, self._step = self._step, None
        if step is None or step[0] is not labels:
            step = labels, self._scores_with(in_float32(logits), labels, rows)
        self.indicator.scores = step[1]

    @torch.no_grad()
    def _scores_with(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:
        """(C,) float64: the scores with this step's objects, of all processes."""
        foreground = (labels < self.num_classes).nonzero().squeeze(1)
        own = labels[foreground]
        scores = logits[foreground].softmax(dim=1).gather(1, own.unsqueeze(1)).squeeze(1)
        _, owner, sizes = _owners(labels, rows)[foreground].unique(
            return_inverse=True, return_counts=True
        )
        part = 1 / sizes[owner].double()  # of an object, that one row is
        sums = part.new_zeros(2, self.num_classes)
        # index_put_ sums in a fixed order on CUDA too, unlike index_add_: runs repeat bit for bit.
        sums[0].index_put_((own,), part, accumulate=True)
        sums[1].index_put_((own,), part * scores.double(), accumulate=True)
        counts, totals = sum_over_processes(sums)
        return self.indicator.moved(counts.round(), totals)


def _owners(labels: Tensor, rows: Rows) -> Tensor:
    """(R,) int64, equal for foreground rows of one object, and for added rows of one class."""
    real = len(labels) - rows.added
    level = rows.level
    objects = (level.images[:real] << 32) + level.objects[:real]
    return torch.cat((objects, -1 - labels[real:]))
