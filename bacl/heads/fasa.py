"""Feature augmentation and sampling adaptation (FASA; Zang, Huang, Loy, ICCV 2021)."""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.detectors.levels import TrainingLevel
from bacl.heads.feature_distributions import FeatureDistributions, FeatureMoments, feature_moments
from bacl.indicators import Counts, LongTermIndicator, counts_of, frequency_groups
from bacl.indicators.counts import GROUPS
from bacl.losses import FollowsEpochs
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, FeatureDim, NotNegative, Positive, Seed, Share, Steps
from bacl.processes.class_sums import sum_per_class
from bacl.processes.own_draws import OwnDraws


class FASA(OwnDraws, FeatureDistributions, FollowsEpochs):
    """Draws one feature of a class with a probability that follows how the class is learned.

    The features of the sampled foreground RoIs are followed as in Eq. 11. From epoch `start` on,
    every class that has been seen gives one feature in a step, of its mean and variance, with a
    probability of its own: at first in inverse proportion to its instances, with sum 1. At the end
    of an epoch the probability is multiplied by `more` where the group's loss has fallen since the
    epoch before, by `less` where it has risen, and is 1 at most. The features have a loss of their
    own, a mean that counts `weight` times.

    Decided here: losses are those of the epoch's own foreground rows, where the published code
    makes a pass over the validation images and so lets their annotations steer the training; they
    are softmax cross-entropies of the head's logits, for K = C + 1. The groups that rise and fall
    together are the rare, common and frequent classes of the annotations: the published code
    clusters mean features by affinity propagation, but hands it distances for similarities, so
    that classes far from each other are clustered. Distributions and losses are of all processes
    (published: distributions of each); every process draws for itself.

    Args:
        num_classes: C.
        feature_dim: D.
        statistics: of the training annotations: counts of instances, and groups.
        beta: share of the past in means and variances.
        weight: of the features' loss.
        start: finished epochs before features are drawn.
        more: factor of probabilities where the loss has fallen.
        less: factor where it has risen.
        seed: non-negative.

    Raises:
        ValueError: the statistics count other classes.
    """

    weight: float

    probabilities: Tensor
    """(C,) float64 in [0, 1]."""
    groups: Tensor
    """(C,) int64 in [0, 3)."""
    losses: Tensor
    """(2, 3) float64: summed losses of each group's rows in this epoch, and in the one before."""
    rows: Tensor
    """(2, 3) int64: their numbers."""

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        statistics: Counts,
        beta: Share,
        weight: NotNegative,
        start: Steps,
        more: Positive,
        less: Positive,
        seed: Seed,
    ) -> None:
        super().__init__(num_classes, feature_dim, beta)
        self.weight, self.start, self.more, self.less = weight, start, more, less
        self.seed = seed
        self.epoch = 0
        """Finished epochs, as far as it was told."""
        inverse = 1 / counts_of(statistics, "instance_counts", num_classes).clamp(min=1).double()
        self.register_buffer("probabilities", inverse / inverse.sum())
        self.register_buffer("groups", frequency_groups(statistics, num_classes))
        self.register_buffer("losses", torch.zeros(2, len(GROUPS), dtype=torch.float64))
        self.register_buffer("rows", torch.zeros(2, len(GROUPS), dtype=torch.int64))

    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Follow the sampled RoIs' features, then draw: see `AddedFeatures`."""
        self.follow(level.once((FASA, self.num_classes), lambda: self._moments(level)))
        generator = self.next_generator(self.prototypes.device)
        chances = torch.rand(
            self.num_classes, dtype=torch.float64, device=generator.device, generator=generator
        )
        drawn = (chances < self.probabilities) & self.seen & (self.epoch >= self.start)
        labels = drawn.nonzero().squeeze(1)
        return self.drawn(labels, generator), labels

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows) -> None:
        """Add the losses of the step's sampled foreground rows, of all processes."""
        foreground = rows.level.rois.foreground
        own = labels[foreground]
        losses = functional.cross_entropy(in_float32(logits[foreground]), own, reduction="none")
        groups = len(GROUPS)
        sums = sum_per_class(losses.unsqueeze(1), self.groups[own], groups)
        self.losses[0, sums.classes] += sums.totals.squeeze(1)
        self.rows[0, sums.classes] += sums.counts

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Adapt the probabilities to the losses of the epoch that has ended, if one has."""
        if epoch > self.epoch:
            self.adapt()
        self.epoch = epoch

    @torch.no_grad()
    def adapt(self) -> None:
        """Move the probabilities of groups that had rows in both epochs; a new epoch begins."""
        now, before = self.losses / self.rows.clamp(min=1)
        compared = (self.rows > 0).all(dim=0)
        factors = torch.ones_like(now)
        factors = factors.where((now >= before) | ~compared, factors.new_tensor(self.more))
        factors = factors.where((now <= before) | ~compared, factors.new_tensor(self.less))
        self.probabilities = (self.probabilities * factors[self.groups]).clamp(max=1)
        self.losses = torch.stack((torch.zeros_like(now), self.losses[0]))
        self.rows = torch.stack((torch.zeros_like(self.rows[0]), self.rows[0]))

    def get_extra_state(self) -> dict[str, int]:
        """The number of calls, and finished epochs."""
        return {**super().get_extra_state(), "epoch": self.epoch}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Continue draws and epochs of a checkpoint."""
        super().set_extra_state(state)
        self.epoch = state["epoch"]

    def _moments(self, level: TrainingLevel) -> FeatureMoments:
        rows = level.rois.foreground
        return feature_moments(level.features.detach()[rows], level.labels[rows], self.num_classes)
