"""The dynamic feature hallucination module (Sec. III-E, Eq. 11-13).

C: foreground classes. D: width of an RoI feature. M: jittered boxes of the batch.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bacl.detectors.levels import ExtraFeatures, TrainingLevel
from bacl.heads.box_generator import BoxGenerator
from bacl.indicators import LongTermIndicator
from bacl.options.ranges import Classes, FeatureDim, Rows, Seed, Share
from bacl.processes.class_sums import ClassSums, sum_per_class
from bacl.processes.own_draws import OwnDraws

PER_BOX = BoxGenerator()
"""Eq. 10 with magnitudes of its own for every box."""


class AddedFeatures(nn.Module, ABC):
    """Rows that a classifier adds to those of the sampled RoIs in every training step.

    What it remembers is in buffers or extra state, its draws are its own: a resumed run continues
    exactly, and a head beside others trains as alone.
    """

    box_generator: BoxGenerator | None = None
    """What makes the boxes whose features it finds in `TrainingLevel.extra`."""
    reads_indicator = False
    """Whether it needs the loss's long-term indicator."""
    weight: float | None = None
    """Of the added rows' own loss beside that of the sampled RoIs; None: one loss over all rows."""

    @abstractmethod
    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Features (n, D) and labels (n,) int64 in [0, C), after it has taken the step in.

        Every process calls it in every training step, also one without foreground rows.
        """


@torch.no_grad()
def jittered_sums(jittered: ExtraFeatures, num_classes: int) -> ClassSums:
    """What Eq. 11 takes from a step's features: totals (U, 2 D) of them, then of their squares.

    Every process calls it together, also one without features.

    Args:
        jittered: of the jittered boxes.
        num_classes: C.
    """
    features = jittered.features.double()
    return sum_per_class(
        torch.cat((features, features.square()), dim=1), jittered.labels, num_classes
    )


class FeatureHallucination(OwnDraws, AddedFeatures):
    """Follows the feature distribution of every class and draws features of weak classes from it.

    Prototypes and variances are those of all processes' features: W processes follow the same
    distributions as one process with the whole batch. Its draws are its own (`OwnDraws`).

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
    box_generator: BoxGenerator

    prototypes: Tensor
    """(C, D) float32, the mu of Eq. 11."""
    variances: Tensor
    """(C, D) float32, the sigma of Eq. 11; its square root is the deviation in Eq. 13."""
    seen: Tensor
    """(C,) bool."""

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
        super().__init__()
        self.num_classes = num_classes
        self.categories = categories
        self.samples = samples
        self.beta = beta
        self.seed = seed
        self.box_generator = box_generator
        self.register_buffer("prototypes", torch.zeros(num_classes, feature_dim))
        self.register_buffer("variances", torch.zeros(num_classes, feature_dim))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Follow the jittered boxes' features, then draw: see `AddedFeatures`."""
        assert indicator is not None
        jittered = level.extra[self.box_generator]
        sums = level.once(
            (jittered_sums, self.box_generator), lambda: jittered_sums(jittered, self.num_classes)
        )
        self.follow(sums)
        return self.generate(indicator.strength())

    @torch.no_grad()
    def follow(self, sums: ClassSums) -> None:
        """Eq. 11 for every class that occurs; a class's first mean and variance are copied.

        The variance is unbiased; that of a single feature is 0.

        Args:
            sums: what `jittered_sums` made of the step's features.
        """
        counts = sums.counts.unsqueeze(1)
        total, squares = sums.totals.chunk(2, dim=1)
        mean = total / counts
        variance = ((squares - total * mean) / (counts - 1).clamp(min=1)).clamp(min=0)
        share = 1 - self.beta * self.seen[sums.classes].double().unsqueeze(1)
        for buffer, new in ((self.prototypes, mean), (self.variances, variance)):
            buffer[sums.classes] = buffer[sums.classes].double().lerp(new, share).float()
        self.seen[sums.classes] = True

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
        labels = drawn[self.seen[drawn]].repeat_interleave(self.samples)
        normals = self.prototypes.new_empty((len(labels), self.prototypes.shape[1]))
        return self.features(labels, normals.normal_(generator=generator)), labels

    def features(self, labels: Tensor, normals: Tensor) -> Tensor:
        """Eq. 13 with given standard normals (n, D), for labels (n,): prototype + deviation."""
        return normals * self.variances[labels].sqrt() + self.prototypes[labels]


def no_hallucination() -> None:
    """What `fhm=none` builds: a head without feature hallucination."""
