"""Equalization loss (Tan et al., CVPR 2020): frequent classes do not suppress rare ones."""

from torch import Tensor

from bacl.indicators import Counts, LongTermIndicator, counts_of, image_frequencies
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Probability, Share

TAIL = 100
"""Images of a class of the tail at most: a share of 0.00177 of LVIS v0.5's 56,740, as published."""


class EQL(BinaryCrossEntropy):
    """One sigmoid per foreground class; foreground rows do not suppress the classes of the tail.

    The tail are the classes that few images contain: at most 100, which are LVIS's rare and common
    ones, or less than a share `tail` of the annotated images. In a foreground row of class i the
    loss of another class j counts only where j is not of the tail; background rows suppress all
    classes in full.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        tail: lambda, share of the annotated images that ends the tail; None for 100 images.
        statistics: of the training annotations: counts of images.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    tail: Tensor
    """(C,) bool."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        tail: Share | None,
        statistics: Counts,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        images = counts_of(statistics, "image_counts", num_classes)
        few = images <= TAIL if tail is None else image_frequencies(statistics, num_classes) < tail
        self.register_buffer("tail", few)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 2 of logits (R, C) where it counts, summed over channels and rows, divided by R."""
        return sigmoid_cross_entropy(logits, labels, weight=self.kept(labels))

    def kept(self, labels: Tensor) -> Tensor:
        """Which losses count, (R, C) bool, for rows of these labels (R,)."""
        suppressing = ~(self.foreground(labels) & self.tail)
        return self.with_own(suppressing, labels)

    def foreground(self, labels: Tensor) -> Tensor:
        """(R, 1) bool."""
        return (labels < self.num_classes).unsqueeze(1)

    def with_own(self, kept: Tensor, labels: Tensor) -> Tensor:
        """`kept` (R, C), and every foreground row's own class."""
        own = labels.clamp(max=self.num_classes - 1).unsqueeze(1)
        return kept.scatter(1, own, kept.gather(1, own) | self.foreground(labels))
