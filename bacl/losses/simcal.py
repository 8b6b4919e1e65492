"""SimCal (Wang et al., ECCV 2020): a second classifier learns from balanced RoIs, for rare classes.

R: rows. B: images of a step. C: foreground classes; label C is background.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.base import ClassificationLoss
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.drawing import DrawingLoss
from bacl.losses.rows import Rows
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, Count, Seed
from bacl.processes.distributed import num_processes, sum_over_processes

SMALLEST = 1e-12
"""Least number of rows that a loss is divided by: that of a step without positive ones."""


class SimCal(DrawingLoss, SoftmaxCrossEntropy):
    """Softmax cross-entropy of a second classifier, over the rows of one class of each image.

    K = 2 C + 2: the logits of the second classifier, then those of the first, which does not learn
    (`bacl.heads.SecondClassifier`). Of each image one class is drawn among those of its rows; its
    rows are learned from, and as many rows of background of the image, drawn too. Their mean is
    over all processes. Scores are the first classifier's by the loss that it was trained with
    (published: softmax), and those of classes with fewer than `few` instances the second's softmax,
    without normalising them anew.

    With images drawn by `bacl.data.samplers.EpisodicBatches` this is the published bi-level
    sampling, category first and then one image of it: the loss is not told which category an image
    was drawn for, and so draws it anew, in proportion to 1 / images with the class, which is its
    probability given the image. Background rows are of the same image, as published.

    Args:
        num_classes: C.
        few: instances from which on a class is scored by the first classifier.
        statistics: of the training annotations: counts of images and of instances.
        seed: of the draws.
        first: loss of C + 1 logits that the first classifier was trained with: makes its scores.
            None for softmax.
        indicator: see `ClassificationLoss`.

    Raises:
        OptionError: `first` has another number of logits.
        ValueError: the statistics count other classes.
    """

    reads_rows = True
    one_logit_a_class = False
    rare: Tensor
    """(C + 1,) bool, whose scores are the second classifier's; not background's."""
    images: Tensor
    """(C,) float64: images with the class, at least 1."""

    def __init__(
        self,
        num_classes: Classes,
        few: Count,
        statistics: Counts,
        seed: Seed,
        first: ClassificationLoss | None = None,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.seed = seed
        self.first = first or SoftmaxCrossEntropy(num_classes)
        if self.first.num_logits != num_classes + 1:
            raise OptionError(
                f"the first classifier is one of {self.first.num_logits} logits by its loss, "
                f"{type(self.first).__name__}, and has to be one of {num_classes + 1}, for classes "
                "and background: loss@head.loss.first=cross_entropy, and an earlier stage by it"
            )
        rare = counts_of(statistics, "instance_counts", num_classes) < few
        images = counts_of(statistics, "image_counts", num_classes).clamp(min=1).double()
        self.register_buffer("rare", functional.pad(rare, (0, 1), value=False))
        self.register_buffer("images", images)

    @property
    def num_logits(self) -> int:
        """K = 2 C + 2."""
        return 2 * self.num_classes + 2

    @property
    def inherited(self) -> ClassificationLoss:
        """That of the first classifier."""
        return self.first

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Mean cross-entropy of the rows that are kept, of logits (R, K); added ones never are."""
        second, _ = in_float32(logits).chunk(2, dim=1)
        own = labels[: len(labels) - rows.added]
        count = len(rows.level.boxes)
        draws = self.uniform((count * self.num_classes + len(own),), labels.device)
        kept = self.kept(rows.level.images[: len(own)], own, count, draws)
        losses = functional.cross_entropy(second[: len(own)], own, reduction="none")
        # Each process's share of the number of all: the processes' mean is that of all rows.
        number = sum_over_processes(kept.double().sum()) / num_processes()
        return (losses * kept).sum() / number.clamp(min=SMALLEST).to(losses.dtype)

    @torch.no_grad()
    def kept(self, images: Tensor, labels: Tensor, count: int, draws: Tensor) -> Tensor:
        """Which rows are learned from, (R,) bool.

        Args:
            images: (R,) int64 in [0, B), ascending.
            labels: (R,).
            count: B.
            draws: (B · C + R,) in [0, 1): for the class of each image, then for the rows, of which
                those of background with the smallest are kept.
        """
        classes, lots = draws.split([count * self.num_classes, len(labels)])
        chosen = self._classes(images, labels, classes.view(count, self.num_classes))
        positive = labels == chosen[images]
        background = labels == self.num_classes
        wanted = torch.zeros_like(chosen).index_add(0, images, positive.long())
        return positive | (background & (_places(images, background, lots, count) < wanted[images]))

    def probabilities(self, logits: Tensor) -> Tensor:
        """(R, C + 1): scores of the one or the other half of (R, K), by class."""
        second, first = in_float32(logits).chunk(2, dim=1)
        return torch.where(self.rare, second.softmax(dim=1), self.first.probabilities(first))

    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """The next step draws anew; see `DrawingLoss`."""
        super().observe(logits, labels)

    def _classes(self, images: Tensor, labels: Tensor, draws: Tensor) -> Tensor:
        """(B,) int64: a class of each image's foreground rows; -1 without any."""
        present = labels.new_zeros(len(draws), self.num_classes + 1, dtype=torch.bool)
        present = present.index_put((images, labels), present.new_ones(()))[:, :-1]
        # The first of exponential times at these rates is a draw in proportion to them.
        times = -(-draws.double()).log1p() * self.images
        first = times.masked_fill(~present, torch.inf).argmin(dim=1)
        return torch.where(present.any(dim=1), first, -1)


def _places(images: Tensor, chosen: Tensor, draws: Tensor, count: int) -> Tensor:
    """(R,) int64: of chosen rows their places among those of their image, by draws (R,)."""
    keys = torch.where(chosen, images + draws.double(), torch.inf)
    sizes = torch.zeros(count, dtype=torch.int64, device=images.device)
    sizes = sizes.index_add(0, images, chosen.long())
    return keys.argsort().argsort() - (sizes.cumsum(0) - sizes)[images]
