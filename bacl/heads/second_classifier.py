"""A second classifier beside a frozen one (SimCal; Wang et al., ECCV 2020).

R: RoIs. D: width of an RoI feature. K: logits of the loss, the two classifiers' together.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import precisely
from bacl.detectors.levels import Level
from bacl.heads.added_features import AddedFeatures
from bacl.heads.classifier import Classifier
from bacl.heads.frozen_classifier import OnFrozenClassifier
from bacl.heads.on_pooled_rois import refuse_added
from bacl.losses.base import ClassificationLoss
from bacl.messages.errors import OptionError
from bacl.options.ranges import FeatureDim, Layers, Seed, Side, Width


class HalfOfLogits(OnFrozenClassifier):
    """The inherited, frozen classifier: it makes the second half of a loss's K logits.

    Args:
        in_features: D.
        out_features: K.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features // 2)

    def forward(self, features: Tensor) -> Tensor:
        """(R, K / 2) of features (R, D)."""
        logits: Tensor = self.base(features)
        return logits


class SecondClassifier(Classifier):
    """Classifies pooled RoIs by layers of its own, and features by the inherited classifier.

    The published code calls this head 3fc_rand; those that continue the layers of the detector, too
    (3fc_ft), are not here: layers begin anew.

    Args:
        feature_dim: D, also the width of the layers.
        loss: of K logits, those of the second classifier first (`bacl.losses.SimCal`).
        channels: of the pooled RoIs.
        side: of the pooled RoIs, in cells.
        layers: before the second classifier.
        hallucination: none; added features have no RoI.
        predictor: none; it is the inherited classifier.
        seed: of all initial weights.
        options: as of `Classifier`.

    Raises:
        OptionError: features are to be added, or another predictor.
    """

    def __init__(
        self,
        feature_dim: FeatureDim,
        loss: ClassificationLoss,
        channels: Width,
        side: Side,
        layers: Layers,
        hallucination: AddedFeatures | None = None,
        predictor: Callable[[int, int], nn.Module] | None = None,
        seed: Seed = 0,
        **options: Any,
    ) -> None:
        refuse_added(hallucination)
        if predictor is not None:
            raise OptionError("this head's predictor is the inherited classifier: predictor=null")
        super().__init__(feature_dim, loss, predictor=HalfOfLogits, seed=seed, **options)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.extractor = _layers(channels * side * side, feature_dim, layers)
            self.second = nn.Linear(feature_dim, loss.num_logits // 2)
            loss.initialise(self.second)

    def logits(self, features: Tensor, level: Level) -> Tensor:
        """(R, K), those of the second classifier first; `features` are the level's."""
        own = precisely(self.second, self.extractor(level.pooled))
        return torch.cat((own, precisely(self.predictor, features).to(own.dtype)), dim=1)


def _layers(before: int, width: int, count: int) -> nn.Sequential:
    """From pooled RoIs to features as in Faster R-CNN: fully connected layers with ReLU."""
    sizes = [before] + [width] * count
    parts: list[nn.Module] = [nn.Flatten()]
    for size in sizes[:-1]:
        layer = nn.Linear(size, width)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts)
