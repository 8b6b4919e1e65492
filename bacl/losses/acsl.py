"""Adaptive class suppression loss (Wang et al., CVPR 2021): confident classes are suppressed."""

import torch
from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, frequency_groups
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.drawing import DrawingLoss
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.options.ranges import Classes, Probability, Seed, Share


class ACSL(DrawingLoss, BinaryCrossEntropy):
    """C + 1 sigmoids, the last for background, which is a class like others.

    In a foreground row another class, background too, is suppressed only where its probability is
    at least `threshold`. In background rows frequent classes are always suppressed, common and rare
    ones only in a share of the rows, rounded down, that is drawn anew in every step for all classes
    of the group; the threshold does not count there (published code). Each process draws among its
    own rows.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        threshold: xi.
        common: share of the background rows that suppress common classes.
        rare: the same of rare classes.
        statistics: of the training annotations: groups of classes by counts of images.
        seed: of the draws.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics are of other classes.
    """

    groups: Tensor
    """(C,) int64: 0 for rare classes, 1 for common, 2 for frequent ones."""

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        threshold: Share,
        common: Share,
        rare: Share,
        statistics: Counts,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        self.threshold = threshold
        self.common = common
        self.rare = rare
        self.seed = seed
        self.register_buffer("groups", frequency_groups(statistics, num_classes))

    @property
    def num_logits(self) -> int:
        """K = C + 1."""
        return self.num_classes + 1

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 2 of logits (R, C + 1) where it counts, summed over channels and rows, by R."""
        draws = self.uniform((2, len(labels)), labels.device)
        kept = self.kept(in_float32(logits.detach()), labels, draws)
        return sigmoid_cross_entropy(logits, labels, weight=kept)

    def kept(self, logits: Tensor, labels: Tensor, draws: Tensor) -> Tensor:
        """Which losses count, (R, C + 1) bool.

        Args:
            logits: (R, C + 1), detached.
            labels: (R,).
            draws: (2, R) in [0, 1), for rare and for common classes: the smallest are kept.
        """
        background = labels == self.num_classes
        places = draws.masked_fill(~background, 2.0).argsort(dim=1).argsort(dim=1)
        shares = background.sum().double() * self.rare, background.sum().double() * self.common
        drawn = places < torch.stack(shares).floor().unsqueeze(1)
        by_group = torch.cat((drawn, background.unsqueeze(0)))
        kept = torch.cat((by_group[self.groups], background.unsqueeze(0))).t()
        confident = logits.sigmoid() >= self.threshold
        kept = torch.where(background.unsqueeze(1), kept, confident)
        return kept.scatter(1, labels.unsqueeze(1), True)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoids of (R, C + 1) as they are."""
        return in_float32(logits).sigmoid()
