"""A classifier with others for the parents of its classes (Forest R-CNN; Wu et al., 2020).

R: rows. D: width of an RoI feature. K: logits of the loss.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import precisely
from bacl.detectors.levels import Level
from bacl.heads.added_features import AddedFeatures
from bacl.heads.classifier import Classifier
from bacl.losses.forest import Forest
from bacl.options.ranges import FeatureDim, Seed, Width


class TreeClassifier(Classifier):
    """The classes' logits by a predictor, and those of each tree's parents by two layers.

    Features reach the trees without gradient: as published, the classes alone train an extractor.

    Not as published: classes and boxes share the two layers of the detector's extractor, where
    theirs have the second one for themselves.

    Args:
        feature_dim: D.
        loss: with trees.
        width: of the trees' hidden layers.
        hallucination: see `Classifier`, as for the predictor.
        predictor: makes the logits of classes and background.
        seed: of all initial weights.
        options: as of `Classifier`.
    """

    def __init__(
        self,
        feature_dim: FeatureDim,
        loss: Forest,
        width: Width,
        hallucination: AddedFeatures | None = None,
        predictor: Callable[[int, int], nn.Module] | None = None,
        seed: Seed = 0,
        **options: Any,
    ) -> None:
        def of_classes(before: int, _: int) -> nn.Module:
            return (predictor or nn.Linear)(before, loss.num_classes + 1)

        super().__init__(feature_dim, loss, hallucination, of_classes, seed=seed, **options)
        self.trees = nn.ModuleList()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            for size in loss.tree_sizes:
                last = nn.Linear(width, size)
                loss.initialise(last)
                layers = nn.Linear(feature_dim, width), nn.ReLU(), last
                self.trees.append(nn.Sequential(*layers))

    def logits(self, features: Tensor, level: Level) -> Tensor:
        """(R, K), classes and background first, of features (R, D)."""
        of_trees = [precisely(tree, features.detach()) for tree in self.trees]
        return torch.cat([precisely(self.predictor, features), *of_trees], dim=1)
