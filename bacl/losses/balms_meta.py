"""The meta re-weighter of BALMS (Balanced Meta-Softmax; Ren et al., NeurIPS 2020).

R: rows. D: width of a feature. C: foreground classes; label C is background.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator
from bacl.losses.adam import Adam
from bacl.losses.balms import BalancedSigmoid
from bacl.losses.rows import Rows
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, NotNegative, Probability
from bacl.processes.class_sums import rows_per_class
from bacl.processes.distributed import sum_over_processes


@dataclass(slots=True)
class _Step:
    """Rows of all processes."""

    counts: Tensor
    """(C,) float64: of each class."""
    number: Tensor
    """Scalar float64, at least 1: all, background's too."""

    def normalised(self, weights: Tensor) -> Tensor:
        """(C,): weights (C,) of the classes with mean 1 over the foreground rows."""
        total = (self.counts * weights).sum().clamp(min=torch.finfo(weights.dtype).tiny)
        return weights * self.counts.sum() / total


class MetaBalancedSigmoid(BalancedSigmoid):
    """A balanced sigmoid whose foreground rows weigh by what their class's weight has done.

    A row of class i weighs sigmoid(w_i), divided by the mean of that over the foreground rows;
    background 1. In every step: (1) the classifier makes a step of gradient descent at rate
    `inner_rate` by this loss; (2) w learns, by Adam at rate `rate`, to make that step lower the
    loss of a batch that is balanced over classes; (3) the loss is computed by the new w. The second
    derivative needs the matrix of a linear classifier with bias alone, and is written down here.

    Not as published: the balanced batch is not drawn of other images, but made of the step's own
    rows, those of each class that occurs weighing as much together as those of another, and
    background as it is, so that nothing is drawn. As in the published code its rows have margins,
    and (1) knows neither momentum nor weight decay. All processes' rows count as one batch
    (published: each process makes a step of its own).

    Args:
        num_classes: C.
        prior: see `BalancedSigmoid`, as for the others.
        rate: of Adam; 0.01 published.
        inner_rate: of the step whose effect is looked at.
        statistics: of the training annotations: counts of images; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    reads_rows = True
    once_a_step = True

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        rate: NotNegative,
        inner_rate: NotNegative,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, statistics, indicator)
        self.inner_rate = inner_rate
        self.weights = Adam(num_classes, rate)
        self._step: tuple[Tensor, list[Tensor]] | None = None
        """Labels of the last `forward`, and what it moved: `observe` need not do it again."""

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Weighted Eq. 2 of logits (R, C) with margins, summed over channels and rows, over R."""
        logits = in_float32(logits)
        moved, step = self._moved(logits.detach(), labels, rows)
        self._step = labels, moved
        return self.weighted(logits, labels, step.normalised(moved[0].sigmoid()))

    def weighted(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """The loss of logits (R, C) where the rows of each class weigh so, (C,)."""
        weight = self._of_rows(weights, labels).to(logits.dtype).expand(-1, self.num_classes)
        return sigmoid_cross_entropy(self._shifted(logits, labels), labels, weight=weight)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """Keep the weights that the step's loss was computed with."""
        assert rows is not None
        super().observe(logits, labels)
        step, self._step = self._step, None
        if step is None or step[0] is not labels:
            step = labels, self._moved(in_float32(logits), labels, rows)[0]
        self.weights.keep(step[1])

    @torch.no_grad()
    def _moved(self, logits: Tensor, labels: Tensor, rows: Rows) -> tuple[list[Tensor], _Step]:
        """What Adam makes of the step."""
        counts = rows_per_class(labels, self.num_classes)
        every = sum_over_processes(torch.cat((counts, counts.new_full((1,), len(labels)))))
        step = _Step(every[:-1].double(), every[-1].clamp(min=1).double())
        features = rows.features.detach().to(logits.dtype)
        with torch.autocast(logits.device.type, enabled=False):
            gradient = self.meta_gradient(logits, labels, features, step)
        return self.weights.moved(gradient, step.counts.sum() > 0), step

    def meta_gradient(
        self, logits: Tensor, labels: Tensor, features: Tensor, step: _Step
    ) -> Tensor:
        """(C,) float64: derivative by w of the balanced batch's loss after the inner step."""
        number = step.number.to(logits.dtype)
        inputs = torch.cat((features, features.new_ones(len(features), 1)), dim=1) / number
        shares = self.weights.value.sigmoid()
        weights = self._of_rows(step.normalised(shares), labels).to(logits.dtype)
        slopes = self._slopes(logits, labels)
        inner = sum_over_processes((weights * slopes).t() @ inputs)
        after = logits - self.inner_rate * number * (inputs @ inner.t())
        balanced = self._of_rows(step.normalised(1 / step.counts.clamp(min=1)), labels)
        outer = self._slopes(after, labels) * balanced.to(logits.dtype)
        outer = sum_over_processes(outer.t() @ inputs)
        by_row = -self.inner_rate * (slopes * (inputs @ outer.t())).sum(dim=1).double()
        by_class = by_row.new_zeros(self.num_classes + 1)
        by_class.index_put_((labels,), by_row, accumulate=True)
        by_class = sum_over_processes(by_class)[:-1]
        total = (step.counts * shares).sum().clamp(min=torch.finfo(shares.dtype).tiny)
        common = step.counts * (by_class * shares).sum() / total
        return step.counts.sum() / total * (by_class - common) * shares * (1 - shares)

    def _slopes(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(R, C): derivatives of the rows' unweighted losses by their logits."""
        slopes = self._shifted(logits, labels).sigmoid()
        positive = (labels < self.num_classes).to(slopes.dtype).unsqueeze(1)
        column = labels.clamp(max=self.num_classes - 1).unsqueeze(1)
        return slopes.scatter_add(1, column, -positive)

    def _of_rows(self, weights: Tensor, labels: Tensor) -> Tensor:
        """(R, 1): of the rows' classes, 1 of background, of weights (C,)."""
        return torch.cat((weights, weights.new_ones(1)))[labels].unsqueeze(1)
