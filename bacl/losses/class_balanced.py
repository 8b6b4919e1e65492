"""Class-balanced loss (Cui et al., CVPR 2019): rows weighted by the effective number of samples."""

from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, FloatRange, Probability, ShareBelowOne


def class_balanced_weights(statistics: Counts, num_classes: int, beta: float) -> Tensor:
    """(C,) float64 with mean 1: in proportion to (1 - beta) / (1 - beta^n) of n instances.

    A class without instances counts as one with one.

    Raises:
        ValueError: the statistics count other classes.
    """
    instances = counts_of(statistics, "instance_counts", num_classes).double().clamp(min=1)
    weights = (1 - beta) / (1 - beta**instances)
    return weights / weights.mean()


def _of_rows(weights: Tensor, limits: FloatRange) -> Tensor:
    """(C + 1,): weights of rows by their classes, within limits; those of background weigh 1."""
    return functional.pad(weights.clamp(*limits), (0, 1), value=1.0)


class ClassBalancedSoftmax(SoftmaxCrossEntropy):
    """Softmax over C + 1 classes; a row's loss is weighted by its class, background's by 1.

    The sum over rows is divided by their number, as in the paper's code, not by the sum of weights.

    Args:
        num_classes: C.
        beta: in [0, 1); 0 weighs all classes alike.
        limits: of the weights, whose mean is 1 before.
        statistics: of the training annotations: counts of instances.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    weights: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        beta: ShareBelowOne,
        limits: FloatRange,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        weights = class_balanced_weights(statistics, num_classes, beta)
        self.register_buffer("weights", _of_rows(weights, limits))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted cross-entropy of logits (R, C + 1), summed over rows, divided by R."""
        logits = in_float32(logits)
        weight = self.weights.to(logits.dtype)
        total = functional.cross_entropy(logits, labels, weight=weight, reduction="sum")
        return total / max(1, len(labels))


class ClassBalancedSigmoid(BinaryCrossEntropy):
    """One sigmoid per foreground class; all channels of a row are weighted by the row's class.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        beta: see `ClassBalancedSoftmax`, as for the others.
        limits: of the weights.
        statistics: of the training annotations: counts of instances.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    weights: Tensor
    """(C + 1,) float64, background's 1."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        beta: ShareBelowOne,
        limits: FloatRange,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        weights = class_balanced_weights(statistics, num_classes, beta)
        self.register_buffer("weights", _of_rows(weights, limits))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted Eq. 2 of logits (R, C), summed over channels and rows, divided by R."""
        logits = in_float32(logits)
        weight = self.weights.to(logits.dtype)[labels].unsqueeze(1)
        return sigmoid_cross_entropy(logits, labels, weight=weight.expand(-1, self.num_classes))
