"""Federated loss (Zhou, Koltun and Krähenbühl, 2021): a step suppresses a few drawn classes."""

import torch
from torch import Tensor

from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.drawing import DrawingLoss
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Count, NotNegative, Probability, Seed


class FederatedLoss(DrawingLoss, BinaryCrossEntropy):
    """One sigmoid per foreground class, of which a step judges the present and some drawn ones.

    These are the classes of the step's rows, filled up to `classes` (background counts as one where
    it occurs) with others that are drawn without replacement in proportion to the power `power` of
    their numbers of images. The published code has an output for background, too, which it never
    uses. In softmax form, where the set weighs the rows by their own classes, it would be plain
    cross-entropy: a row's class is always one of the set.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        classes: that a step judges at least, if there are as many.
        power: of the number of images.
        statistics: of the training annotations: counts of images.
        seed: of the draws.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    weights: Tensor
    """(C,) float64, in proportion to which classes are drawn."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        classes: Count,
        power: NotNegative,
        statistics: Counts,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.classes = classes
        self.seed = seed
        images = counts_of(statistics, "image_counts", num_classes)
        self.register_buffer("weights", images.double() ** power * (images > 0))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 2 of logits (R, C), summed over the judged channels and rows, divided by R."""
        kept = self.kept(labels, self.uniform((self.num_classes,), labels.device))
        return sigmoid_cross_entropy(logits, labels, weight=kept.expand(len(labels), -1))

    def kept(self, labels: Tensor, draws: Tensor) -> Tensor:
        """Which classes are judged, (C,) bool, for rows of these labels (R,).

        Args:
            labels: (R,).
            draws: (C,) in [0, 1).
        """
        present = labels.new_zeros(self.num_classes + 1, dtype=torch.bool)
        present = present.index_fill(0, labels, True)
        present, background = present[: self.num_classes], present[self.num_classes]
        # Exponential times at these rates end in the order of draws without replacement.
        times = -(-draws.double()).log1p() / self.weights
        times = times.masked_fill(self.weights == 0, torch.inf).masked_fill(present, -1.0)
        first = times.argsort().argsort() < self.classes - background.long()
        return present | (first & (self.weights > 0))
