"""Memory-augmented feature sampling (MFS of LOCE; Feng, Zhong, Huang, ICCV 2021)."""

import torch
from torch import Tensor

from bacl.detectors.levels import TrainingLevel
from bacl.heads.added_features import AddedFeatures
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.class_memory import ClassMemory, features_of_all
from bacl.indicators import LongTermIndicator
from bacl.options.ranges import Classes, FeatureDim, Rows, Seed
from bacl.processes.own_draws import OwnDraws

SMALLEST = 1e-7
"""Added to every score before it divides; published code."""
PER_IMAGE = BoxGenerator(shared=True)
"""The published jitter."""


class MemorySampling(OwnDraws, AddedFeatures):
    """Remembers features of jittered boxes and shows those of weak classes again.

    In every step, the features of 16 boxes around each object enter the memory of its class; then
    classes are drawn, with probability proportional to 1 / l of the long-term indicator (the mean
    scores of the equilibrium loss), and stored features of each, with replacement. A drawn class
    without any is skipped.

    Unlike the published code it remembers features, not the pooled RoIs that these are made of,
    which is the same where the extractor is frozen; it feeds the classification alone, since a
    head changes nothing upstream, and not the box regression; all processes share the memory,
    which a checkpoint keeps; and the memory is not filled before training begins.

    Args:
        num_classes: C.
        feature_dim: D.
        categories: classes drawn in a step by each process, with replacement.
        samples: features per drawn class.
        size: features that are remembered of each class.
        seed: non-negative.
        box_generator: of the jittered boxes.
    """

    reads_indicator = True
    box_generator: BoxGenerator

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        categories: Rows,
        samples: Rows,
        size: Rows,
        seed: Seed,
        box_generator: BoxGenerator = PER_IMAGE,
    ) -> None:
        super().__init__()
        self.categories = categories
        self.samples = samples
        self.seed = seed
        self.box_generator = box_generator
        self.memory = ClassMemory(num_classes, size, feature_dim)

    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Remember the jittered boxes' features, then draw: see `AddedFeatures`."""
        assert indicator is not None
        jittered = level.extra[self.box_generator]
        found = level.once(
            (features_of_all, self.box_generator),
            lambda: features_of_all(jittered.features, jittered.labels),
        )
        self.memory.push(*found)
        return self.draw(indicator.strength())

    def selection_weights(self, strength: Tensor) -> Tensor:
        """(C,) float64, proportional to the probabilities of strengths (C,) in [0, 1]."""
        return 1 / (strength.double() + SMALLEST)

    @torch.no_grad()
    def draw(self, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Stored features (n, D) float32, n at most categories · samples, and labels (n,)."""
        generator = self.next_generator(self.memory.rings.device)
        weights = self.selection_weights(strength)
        drawn = weights.multinomial(self.categories, replacement=True, generator=generator)
        filled = self.memory.filled()
        labels = drawn[filled[drawn] > 0].repeat_interleave(self.samples)
        places = weights.new_empty(len(labels)).uniform_(generator=generator)
        return self.memory.latest(labels, (places * filled[labels]).long()), labels
