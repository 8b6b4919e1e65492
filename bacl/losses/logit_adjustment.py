"""Logit adjustment in training (Menon et al., ICLR 2021): softmax of logits and class priors."""

from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.options.ranges import Classes, NotNegative


class LogitAdjustment(SoftmaxCrossEntropy):
    """Softmax over C + 1 classes of z + tau log pi in training, and of z alone in the scores.

    pi is the class's share of the training instances. The paper knows no background: here its logit
    stays as it is, since its share of the RoIs is the sampler's, not the data's.

    Args:
        num_classes: C.
        tau: factor of the priors.
        statistics: of the training annotations: counts of instances; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    margin: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        tau: NotNegative,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        instances = counts_of(statistics, "instance_counts", num_classes).double().clamp(min=1)
        margin = tau * (instances / instances.sum()).log()
        self.register_buffer("margin", functional.pad(margin, (0, 1)))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of adjusted logits (R, C + 1), summed over rows, divided by R."""
        logits = in_float32(logits)
        return super().forward(logits + self.margin.to(logits.dtype), labels)
