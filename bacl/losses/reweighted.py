"""Generalised re-weighting of DisAlign (Zhang et al., CVPR 2021): rows weigh by their class."""

from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.options.ranges import Classes, NotNegative
from bacl.processes.distributed import num_processes, sum_over_processes

SMALLEST = 1e-12
"""Least sum of weights that a loss is divided by: that of a step without rows."""


class ReweightedCrossEntropy(SoftmaxCrossEntropy):
    """Softmax cross-entropy whose rows weigh n_i^-rho for class i, background 1.

    n_i are the class's instances (the paper does not say what it counts), none counting as one;
    the weights of the foreground classes have mean 1, as in the published code. The sum over rows
    is divided by the sum of their weights, over all processes, and not by the number of rows.

    Args:
        num_classes: C.
        rho: 0 for equal weights.
        statistics: of the training annotations: counts of instances.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    weights: Tensor
    """(C + 1,) float64, background last."""

    def __init__(
        self,
        num_classes: Classes,
        rho: NotNegative,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.rho = rho
        counts = counts_of(statistics, "instance_counts", num_classes).clamp(min=1).double()
        weights = counts**-rho
        self.register_buffer("weights", functional.pad(weights / weights.mean(), (0, 1), value=1.0))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted cross-entropy of (R, C + 1), a mean over all processes' rows by weight."""
        logits = in_float32(logits)
        weights = self.weights.to(logits.dtype)
        total = functional.cross_entropy(logits, labels, weights, reduction="sum")
        # Each process's share of the sum of all: the mean of the processes' losses is the whole's.
        weight = sum_over_processes(self.weights[labels].sum()) / num_processes()
        return total / weight.clamp(min=SMALLEST).to(logits.dtype)
