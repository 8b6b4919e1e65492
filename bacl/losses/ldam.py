"""LDAM, label-distribution-aware margins, with deferred re-weighting (Cao et al., NeurIPS 2019)."""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.class_balanced import class_balanced_weights
from bacl.losses.cosines import CosineSoftmax
from bacl.losses.epochs import FollowsEpochs
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, Positive, Share, ShareBelowOne


class LDAM(FollowsEpochs, CosineSoftmax):
    """Softmax over C + 1 classes of scaled cosines, with a margin that a row's own class must keep.

    The logit s cos of the row's class becomes s (cos - margin), margin ~ n^(-1/4) of n instances,
    the largest of them `margin`. After a share `deferred` of the stage's epochs rows are weighted
    by their classes as in `ClassBalancedSoftmax`, without limits. Scores are without margin.

    The paper knows no background: here it has no margin and weight 1. The sum over rows is divided
    by their number, before and after the weights set in.

    Args:
        num_classes: C.
        margin: of the rarest class.
        deferred: share of the epochs before the weights; 1 for no weights.
        beta: of the weights, see `ClassBalancedSoftmax`.
        statistics: of the training annotations: counts of instances; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    margins: Tensor
    """(C + 1,) float64."""
    weights: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        margin: Positive,
        deferred: Share,
        beta: ShareBelowOne,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.deferred = deferred
        self.weighted = False
        instances = counts_of(statistics, "instance_counts", num_classes).double().clamp(min=1)
        margins = (instances / instances.min()) ** -0.25 * margin
        weights = class_balanced_weights(statistics, num_classes, beta)
        self.register_buffer("margins", functional.pad(margins, (0, 1)))
        self.register_buffer("weights", functional.pad(weights, (0, 1), value=1.0))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Weigh rows from this epoch on, if enough have passed."""
        self.weighted = self.deferred < 1 and epoch >= self.deferred * epochs

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Of scaled cosines (R, C + 1), summed over rows, divided by R."""
        logits = in_float32(logits)
        own = self.scale(rows) * self.margins.to(logits.dtype)[labels]
        margins = torch.zeros_like(logits).scatter(1, labels.unsqueeze(1), own.unsqueeze(1))
        weight = self.weights.to(logits.dtype) if self.weighted else None
        total = functional.cross_entropy(logits - margins, labels, weight=weight, reduction="sum")
        return total / max(1, len(labels))
