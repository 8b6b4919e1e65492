"""Balanced sigmoid of BALMS (Balanced Meta-Softmax; Ren et al., NeurIPS 2020)."""

from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, image_frequencies
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Probability


class BalancedSigmoid(BinaryCrossEntropy):
    """One sigmoid per foreground class, whose logits in foreground rows have a margin.

    It is log(f / (1 - f)) of the share f of the annotated images that contain the class, for the
    row's own class as for others; background rows and scores are without. The paper's meta
    re-weighter of rows is `bacl.losses.balms_meta.MetaBalancedSigmoid`.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        statistics: of the training annotations: counts of images; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    margin: Tensor
    """(C,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.register_buffer("margin", image_frequencies(statistics, num_classes).logit())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 2 of logits (R, C) with margins, summed over channels and rows, divided by R."""
        return sigmoid_cross_entropy(self._shifted(in_float32(logits), labels), labels)

    def _shifted(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (R, C) with margins."""
        foreground = (labels < self.num_classes).unsqueeze(1)
        return logits + foreground * self.margin.to(logits.dtype)
