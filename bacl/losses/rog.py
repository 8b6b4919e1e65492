"""ROG's ranking term (GAP; Zhang, Chen and Peng, ICCV 2023), on top of another loss.

R: rows. K: logits of a row. C: foreground classes.
"""

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.base import ClassificationLoss
from bacl.losses.ranking_error import ranking_error
from bacl.losses.rows import Rows
from bacl.options.ranges import NotNegative, Positive
from bacl.processes.class_sums import rows_per_class
from bacl.processes.distributed import sum_over_processes


class ROG(ClassificationLoss):
    """Another loss, and the error of ranking the classes' logits among all logits of the step.

    The term is `ranking_error`. Its gradient, as published, is no derivative, and it alone is
    multiplied by `weight` and by the class's part in (1 / samples)^gamma, of mean 1.

    Each process ranks its own rows. Samples are rows of the earlier steps, over all processes (the
    published code counts each process's), beginning with one.

    Args:
        base: the other loss; the first C logits of any are those of the classes.
        weight: lambda.
        gamma: exponent.
        delta: half the width of H.
    """

    reads_rows = True  # for the other loss
    samples: Tensor
    """(C,) int64."""

    def __init__(
        self,
        base: ClassificationLoss,
        weight: NotNegative,
        gamma: NotNegative,
        delta: Positive,
    ) -> None:
        nn.Module.__init__(self)  # the indicator is the other loss's
        self.base = base
        self.num_classes = base.num_classes
        self.weight = weight
        self.gamma = gamma
        self.delta = delta
        self.register_buffer("samples", torch.ones(base.num_classes, dtype=torch.int64))

    @property
    def indicator(self) -> LongTermIndicator | None:  # type: ignore[override]
        """That of the other loss, which has it observe."""
        return self.base.indicator

    @property
    def num_logits(self) -> int:
        """Those of the other loss."""
        return self.base.num_logits

    def initialise(self, predictor: nn.Module) -> None:
        """As the other loss."""
        self.base.initialise(predictor)

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Of logits (R, K): the other loss, and the mean error."""
        ranked = in_float32(logits)[:, : self.num_classes]
        return self.base.of_step(logits, labels, rows) + self.error(ranked, labels)

    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The term, of the classes' logits (R, C)."""
        shares = self.samples.double() ** -self.gamma
        weights = self.weight * shares / shares.mean()
        return ranking_error(logits, labels, weights, self.delta)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Those of the other loss."""
        return self.base.probabilities(logits)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows) -> None:  # type: ignore[override]
        """Count the step's foreground rows; see `ClassificationLoss`."""
        self.base.observe_step(logits, labels, rows)
        self.samples += sum_over_processes(rows_per_class(labels, self.num_classes))
