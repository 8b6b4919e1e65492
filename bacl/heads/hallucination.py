"""The dynamic feature hallucination module (Sec. III-E, Eq. 11-13).

C: foreground classes. D: width of an RoI feature. M: jittered boxes of the batch.
"""

from collections.abc import Hashable, Sequence
from typing import Self

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
from bacl.indicators.stacked import stacked
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
        return self.added_together([self], level, [indicator])[0]

    @property
    def kin(self) -> Hashable | None:
        """See `AddedFeatures.kin`."""
        if type(self) is not FeatureHallucination:  # which may say anew how to draw, and of what
            return None
        return FeatureHallucination, self.box_generator, self.categories, self.samples

    @classmethod
    def added_together(
        cls,
        modules: Sequence[Self],
        level: TrainingLevel,
        indicators: Sequence[LongTermIndicator],
    ) -> list[tuple[Tensor, Tensor]]:
        """See `AddedFeatures.added_together`."""
        generator, classes = modules[0].box_generator, modules[0].num_classes
        moments = level.once(
            (jittered_moments, generator), lambda: jittered_moments(level.extra[generator], classes)
        )
        cls.follow_together(modules, moments)
        added = cls.generate_together(modules, type(indicators[0]).strengths(indicators))
        _count(modules, [labels for _, labels in added])
        return added

    def selection_probabilities(self, strength: Tensor) -> Tensor:
        """Eq. 12 in float64 from strengths (…, C) in [0, 1]; uniform where every strength is 1."""
        weakness = 1 - strength.double()
        total = weakness.sum(dim=-1, keepdim=True)
        return (weakness / total).masked_fill_(total <= 0, 1 / self.num_classes)

    def generate(self, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 12-13: draw c classes, and m features of each that has been seen.

        Args:
            strength: (C,) in [0, 1], the l_i of the long-term indicator.

        Returns:
            features: (n, D) float32 with n at most c · m; unlike real ones they can be negative.
            labels: (n,) int64.
        """
        return self.generate_together([self], strength.unsqueeze(0))[0]

    @classmethod
    @torch.no_grad()
    def generate_together(
        cls, modules: Sequence[Self], strengths: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """`generate` of H modules of equal kin with strengths (H, C), each bit for bit as alone."""
        generators = [each.next_generator(strengths.device) for each in modules]
        drawn = cls._classes(modules, strengths, generators)
        if len({len(own) for own in drawn}) > 1:  # of some, not all drawn classes have been seen
            rows = zip(modules, drawn, generators, strict=True)
            return [cls._features([each], [own], [draws])[0] for each, own, draws in rows]
        return cls._features(modules, drawn, generators)

    @staticmethod
    def _classes(
        modules: Sequence["FeatureHallucination"],
        strengths: Tensor,
        generators: Sequence[torch.Generator],
    ) -> Sequence[Tensor]:
        """Those of c drawn classes of each that have been seen."""
        rows = zip(modules[0].selection_probabilities(strengths), generators, strict=True)
        count = modules[0].categories
        drawn = [own.multinomial(count, replacement=True, generator=each) for own, each in rows]
        return FeatureDistributions.seen_among(modules, drawn)

    @classmethod
    def _features(
        cls,
        modules: Sequence["FeatureHallucination"],
        drawn: Sequence[Tensor],
        generators: Sequence[torch.Generator],
    ) -> list[tuple[Tensor, Tensor]]:
        """Of each module, m features of each of its classes, equally many, and their labels."""
        labels = stacked(drawn).repeat_interleave(modules[0].samples, dim=1)
        shape = *labels.shape, modules[0].prototypes.shape[1]
        normals = modules[0].prototypes.new_empty(shape)
        for own, generator in zip(normals, generators, strict=True):
            own.normal_(generator=generator)
        return list(zip(cls.features_together(modules, labels, normals), labels, strict=True))


def _count(modules: Sequence[FeatureHallucination], labels: Sequence[Tensor]) -> None:
    """Count the drawn rows of each class."""
    if len({len(own) for own in labels}) > 1:
        for module, own in zip(modules, labels, strict=True):
            _count([module], [own])
        return
    drawn = stacked(labels)
    counts = drawn.new_zeros(len(modules), modules[0].num_classes)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn))
    torch._foreach_add_([each.drawn_classes for each in modules], list(counts))


def no_hallucination() -> None:
    """What `fhm=none` builds: a head without feature hallucination."""
