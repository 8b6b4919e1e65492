"""A classifier that refines its RoIs by what it made of them (PCB; He et al., CVPR 2022).

R: sampled RoIs. D: width of an RoI feature. K: logits. T: iterations.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Len
from torch import Tensor

from bacl.detectors.full_precision import precisely
from bacl.detectors.levels import Level, TrainingLevel
from bacl.heads.added_features import AddedFeatures
from bacl.heads.classifier import Classifier
from bacl.heads.on_pooled_rois import refuse_added
from bacl.heads.predictors import Predictor
from bacl.heads.refinement import Refinement
from bacl.losses.base import ClassificationLoss
from bacl.losses.iterations import FollowsIterations
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, FeatureDim, NotNegative, Seed, Side, Width

BOX_DELTAS = 4


class RefiningClassifier(Classifier):
    """Classifies T times: after all but the last, pooled RoIs are refined and encoded anew.

    The level's own extractor, one predictor and one refinement serve all iterations; losses are
    summed by weight, statistics follow every iteration, and the last one's logits score. Gradients
    run through all of it, and into an extractor that trains.

    Not as published: a head changes nothing upstream, so boxes are regressed, and the regression
    is trained, on the RoIs before refinement (published: on those of the last iteration), and the
    deltas that the refinement reads carry no gradient.

    Args:
        feature_dim: D.
        loss: see `Classifier`; a `FollowsIterations` in it is told of the iterations.
        num_classes: C.
        class_agnostic: whether the level's box regression has four deltas for all classes.
        channels: of the pooled RoIs.
        side: of the pooled RoIs, in cells.
        width: of the refinement's hidden layers.
        weights: of the iterations' losses, T of them.
        hallucination: none; added features have no RoI that could be refined.
        seed: of all initial weights.
        options: as of `Classifier`.

    Raises:
        OptionError: features are to be added.
    """

    def __init__(
        self,
        feature_dim: FeatureDim,
        loss: ClassificationLoss,
        num_classes: Classes,
        class_agnostic: bool,
        channels: Width,
        side: Side,
        width: Width,
        weights: Annotated[Sequence[NotNegative], Len(1, 10)],
        hallucination: AddedFeatures | None = None,
        seed: Seed = 0,
        **options: Any,
    ) -> None:
        refuse_added(hallucination)
        super().__init__(feature_dim, loss, seed=seed, **options)
        self.weights = tuple(weights)
        deltas = BOX_DELTAS if class_agnostic else BOX_DELTAS * num_classes
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.refinement = Refinement(deltas, loss.num_logits, channels, side, width)

    def loss(self, level: TrainingLevel) -> Tensor:
        """The iterations' losses of one step, by weight, a scalar; see `Classifier.loss`."""
        losses = []
        for number, (features, logits) in enumerate(self.iterations(level)):
            for part in self.criterion.modules():  # also of one that another loss is built on
                if isinstance(part, FollowsIterations):
                    part.begin_iteration(self._share(number))
            rows = Rows(features, self.predictor, level, 0)
            loss = self.criterion.of_step(logits, level.labels, rows)
            losses.append(self.weights[number] * loss)
            if self.training:
                self._observe(logits, level.labels, rows)
        return torch.stack(losses).sum()

    def _share(self, number: int) -> float:
        """In [0, 1]: 0 of the first iteration, 1 of the last, which a single one is."""
        last = len(self.weights) - 1
        return number / last if last else 1.0

    def logits(self, features: Tensor, level: Level) -> Tensor:
        """(R, K) logits of the last iteration; `features` are the level's."""
        *_, (_, logits) = self.iterations(level)
        return logits

    def iterations(self, level: Level) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (R, D) and logits (R, K) of each iteration."""
        features, pooled = level.features, None
        logits = precisely(self.predictor, features)
        yield features, logits
        for _ in self.weights[1:]:
            with torch.no_grad():
                deltas = level.regress(features)
            before = level.pooled if pooled is None else pooled
            pooled = self.refinement(before, deltas, logits)
            features = level.encode(pooled)
            logits = precisely(self.predictor, features)
            yield features, logits

    def _observe(self, logits: Tensor, labels: Tensor, rows: Rows) -> None:
        self.criterion.observe_step(logits, labels, rows)
        if isinstance(self.predictor, Predictor):
            self.predictor.observe(rows.features.detach(), labels)
