"""Inverse image frequency (IIF; Alexandridis et al., IEEE TIP 2023): logits times a factor each."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of, image_frequencies
from bacl.losses.base import set_bias
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.options.ranges import Classes

WEIGHT = 0.001
"""All of a new classifier; published code."""
FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda share: -share.log(),
    "base2": lambda share: -share.log2(),
    "base10": lambda share: -share.log10(),
    "relative": lambda share: -share.logit(),
    "normit": lambda share: -torch.special.ndtri(share),
    "gombit": lambda share: -(-(-share).log1p()).log(),
}
"""By the share of images that contain a class."""


class IIF(SoftmaxCrossEntropy):
    """Softmax over C + 1 classes of z · w, in training and in the scores.

    The factor w of a class falls with the share f of the annotated images that contain it; that of
    background is 1. "raw" is log(1 / f), "base2" and "base10" the same to another base, "smooth"
    1 + log((M + 1) / (n + 1)) of n of M images, "relative" log((1 - f) / f), "normit" and "gombit"
    the quantiles of 1 - f of the normal and of the Gumbel distribution. By "relative", "normit"
    and "gombit" classes in many images can have factors below 0, which turn their logits round.

    Args:
        num_classes: C.
        factor: which of them.
        statistics: of the training annotations: counts of images; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    factors: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        factor: Literal["raw", "smooth", "relative", "normit", "gombit", "base2", "base10"],
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        if factor == "smooth":
            images = counts_of(statistics, "image_counts", num_classes).double()
            factors = 1 + ((statistics.num_annotated + 1) / (images + 1)).log()
        else:
            factors = FACTORS[factor](image_frequencies(statistics, num_classes))
        self.register_buffer("factors", functional.pad(factors, (0, 1), value=1.0))

    def initialise(self, predictor: nn.Module) -> None:
        """All weights 0.001, no bias."""
        nn.init.constant_(predictor.get_parameter("weight"), WEIGHT)
        set_bias(predictor, 0.0)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of z · w of logits (R, C + 1), summed over rows, divided by R."""
        return super().forward(self._scaled(logits), labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of z · w, (R, C + 1)."""
        return super().probabilities(self._scaled(logits))

    def _scaled(self, logits: Tensor) -> Tensor:
        logits = in_float32(logits)
        return logits * self.factors.to(logits.dtype)
