"""Effective class-margin loss (Cho and Krähenbühl, ECCV 2022): margins from a bound on the AP."""

import torch
from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.bce import BinaryCrossEntropyWithObjectness
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Positive

UNBIASED = 0.5
"""Probability of a bias of zero: the published code sets no prior."""


class ECM(BinaryCrossEntropyWithObjectness):
    """C + 1 sigmoids of doubled logits, with a margin and a weight for each channel.

    With n images of a class and m of all others, background counted among both, the probability of
    training is p = sigmoid(2 z + log(n / m) / 4), and the loss of the channel is weighted by
    r log(1 + 1 / r), r = m / n. (The paper writes p = s(z) / (s(z) + s'(-z)) with exponentials of
    margins a and a', which is this with a - a' = log(n / m) / 4; written out it overflows.) Scores
    are sigmoids of z times one minus that of background, as published: without factor and margin.

    Args:
        num_classes: C.
        background: images of background for each image of a class.
        statistics: of the training annotations: counts of images; none counts as one.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    margin: Tensor
    """(C + 1,) float64."""
    weight: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        background: Positive,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, UNBIASED, indicator)
        images = counts_of(statistics, "image_counts", num_classes).double().clamp(min=1)
        images = torch.cat((images, background * images.sum(0, keepdim=True)))
        ratio = (images.sum() - images) / images
        self.register_buffer("margin", -ratio.log() / 4)
        self.register_buffer("weight", ratio * (1 / ratio).log1p())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted Eq. 2 of 2 z + margin, logits (R, C + 1), over channels and rows, by R."""
        logits = in_float32(logits)
        shifted = 2 * logits + self.margin.to(logits.dtype)
        weight = self.weight.to(logits.dtype).expand(len(labels), -1)
        return sigmoid_cross_entropy(shifted, labels, weight=weight)
