"""The dynamic feature hallucination module (Sec. III-E, Eq. 11-13).

C: foreground classes. D: width of an RoI feature. M: jittered boxes of the batch.
"""

import torch
from torch import Tensor

from bacl.detectors.levels import ExtraFeatures, TrainingLevel
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.feature_distributions import (
    FeatureDistributions,
    FeatureMoments,
    feature_moments,
)
from bacl.indicators import LongTermIndicator
from bacl.options.ranges import Classes, FeatureDim, Rows, Seed, Share
from bacl.processes.own_draws import OwnDraws

PER_BOX = BoxGenerator()
"""Eq. 10 with magnitudes of its own for every box."""


@torch.no_grad()
def jittered_moments(jittered: ExtraFeatures, num_classes: int) -> FeatureMoments:
    """What Eq. 11 takes from a step's features.

    Every process calls it together, also one without features.

    Args:
        jittered: of the jittered boxes.
        num_classes: C.
    """
    return feature_moments(jittered.features, jittered.labels, num_classes)


class FeatureHallucination(OwnDraws, FeatureDistributions):
    """Follows the feature distribution of every class and draws features of weak classes from it.

    Its draws are its own (`OwnDraws`).

    As published, every process draws c · m features in a step, however many images it has: with
    c = 8 and m = 12, one process with 16 images adds 96 rows to the step's loss, and eight with 2
    images each add 768. With 512 RoIs of an image they are 96 beside 8,192 rows in the first case,
    and beside 1,024 in the loss of each process in the second, which is the published setting.

    Args:
        num_classes: C.
        feature_dim: D.
        categories: c, classes drawn in a step by each process, with replacement.
        samples: m, features per drawn class.
        beta: share of the past in Eq. 11.
        seed: non-negative.
        box_generator: Eq. 10.
    """

    reads_indicator = True
    drawn_classes: Tensor
    box_generator: BoxGenerator

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        categories: Rows,
        samples: Rows,
        beta: Share,
        seed: Seed,
        box_generator: BoxGenerator = PER_BOX,
    ) -> None:
        super().__init__(num_classes, feature_dim, beta)
        self.categories = self.classes_of_step = categories
        self.samples = samples
        self.seed = seed
        self.box_generator = box_generator
        self._all_seen = False
        # Nothing is computed from it: it is no part of a checkpoint.
        counts = torch.zeros(num_classes, dtype=torch.int64)
        self.register_buffer("drawn_classes", counts, persistent=False)

    @property
    def class_draws(self) -> Tensor:
        """See `AddedFeatures.class_draws`."""
        return self.drawn_classes

    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Follow the jittered boxes' features, then draw: see `AddedFeatures`."""
        assert indicator is not None
        jittered = level.extra[self.box_generator]
        moments = level.once(
            (jittered_moments, self.box_generator),
            lambda: jittered_moments(jittered, self.num_classes),
        )
        self.follow(moments)
        features, labels = self.generate(indicator.strength())
        self.drawn_classes.index_add_(0, labels, torch.ones_like(labels))
        return features, labels

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Continue a checkpoint, in which fewer classes may have been seen."""
        super().set_extra_state(state)
        self._all_seen = False

    def selection_probabilities(self, strength: Tensor) -> Tensor:
        """Eq. 12 in float64 from strengths (C,) in [0, 1]; uniform where every strength is 1."""
        weakness = 1 - strength.double()
        total = weakness.sum()
        return torch.where(total > 0, weakness / total, 1 / self.num_classes)

    @torch.no_grad()
    def generate(self, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 12-13: draw c classes, and m features of each that has been seen.

        Args:
            strength: (C,) in [0, 1], the l_i of the long-term indicator.

        Returns:
            features: (n, D) float32 with n at most c · m; unlike real ones they can be negative.
            labels: (n,) int64.
        """
        generator = self.next_generator(self.prototypes.device)
        probabilities = self.selection_probabilities(strength)
        drawn = probabilities.multinomial(self.categories, replacement=True, generator=generator)
        labels = self._seen(drawn).repeat_interleave(self.samples)
        return self.drawn(labels, generator), labels

    def _seen(self, drawn: Tensor) -> Tensor:
        """Those of drawn classes (c,) that have been seen; the host waits until all have been."""
        if self._all_seen:
            return drawn
        known = self.seen[drawn]
        *rows, self._all_seen = torch.cat((known, self.seen.all().unsqueeze(0))).tolist()
        return drawn[known.nonzero_static(size=sum(rows)).squeeze(1)]


def no_hallucination() -> None:
    """What `fhm=none` builds: a head without feature hallucination."""
