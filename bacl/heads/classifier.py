"""A classifier: predictor, loss and the features that are added to a step."""

from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import precisely
from bacl.detectors.levels import Level, TrainingLevel
from bacl.heads.added_features import AddedFeatures
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.calibration import Calibration, Uncalibrated
from bacl.heads.predictors import Predictor
from bacl.losses.base import ClassificationLoss
from bacl.losses.rows import Rows
from bacl.messages.errors import OptionError
from bacl.options.marks import Trains
from bacl.options.ranges import ClassifierInit, FeatureDim, Rate, Seed


class Classifier(nn.Module):
    """Classifies the RoI features of one level.

    It uses no global random generator: trained beside others it ends bit for bit as alone.

    Args:
        feature_dim: D.
        loss: turns logits into a loss and into probabilities.
        hallucination: adds features to every training step.
        predictor: makes the predictor from (feature_dim, num_logits); `nn.Linear` by default.
        calibration: from logits to scores; by default the loss's probabilities.
        seed: of the predictor's initial weights.
        init: "inherit" continues the classifier of the stage before, "fresh" keeps the initial
            weights, "prototypes" points them to the classes' mean features; None leaves it to the
            stage.
        learning_rate: of its head, where it is not the stage's; scaled with the batch like it.
        weight_decay: of its head, where it is not the stage's.

    Raises:
        OptionError: hallucination without the long-term indicator in the loss that it reads, or
            with a loss of its own where the loss wants all rows of a step at once.
    """

    def __init__(
        self,
        feature_dim: FeatureDim,
        loss: ClassificationLoss,
        hallucination: Trains[AddedFeatures | None] = None,
        predictor: Callable[[int, int], nn.Module] | None = None,
        calibration: Calibration | None = None,
        seed: Trains[Seed] = 0,
        init: Trains[ClassifierInit | None] = None,
        learning_rate: Trains[Rate | None] = None,
        weight_decay: Trains[Rate | None] = None,
    ) -> None:
        super().__init__()
        if hallucination is not None and hallucination.reads_indicator and loss.indicator is None:
            raise OptionError(
                "feature hallucination draws classes by a long-term indicator (Eq. 12), but the "
                "loss has none: take a loss that has one, or fhm@head.hallucination=none"
            )
        if hallucination is not None and hallucination.weight is not None and _once_a_step(loss):
            raise OptionError(
                "the added features have a loss of their own, by a weight, but the loss of this "
                "head learns from all rows of a step at once: take another loss, added features "
                "without a weight, or fhm@head.hallucination=none"
            )
        self.criterion = loss
        self.hallucination = hallucination
        self.calibration = calibration or Uncalibrated()
        self.init = init
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.predictor = (predictor or nn.Linear)(feature_dim, loss.num_logits)
            if isinstance(self.predictor, Predictor):
                self.predictor.initialise(loss.initialise)
            else:
                loss.initialise(self.predictor)

    @property
    def extra_boxes(self) -> BoxGenerator | None:
        """What makes the boxes whose features it wants in `TrainingLevel.extra`, if any."""
        return None if self.hallucination is None else self.hallucination.box_generator

    def loss(self, level: TrainingLevel) -> Tensor:
        """The classification loss of one step, a scalar; in training its statistics move too.

        Features are added, and the loss computed, by the long-term indicator as it was before the
        step; the indicator observes every row, added ones included, after the loss.
        """
        features, labels = self._rows(level)
        logits = self.logits(features, level)
        added = len(features) - len(level.features)
        rows = Rows(features, self.predictor, level, added, self.added_classes)
        loss = self._loss(logits, labels, rows)
        if self.training:
            self.criterion.observe_step(logits, labels, rows)
            if isinstance(self.predictor, Predictor):
                self.predictor.observe(features.detach(), labels)
            if self.hallucination is not None:
                self.hallucination.observe(logits.detach(), labels, rows)
        return loss

    @property
    def added_classes(self) -> int | None:
        """How many classes the rows that it adds have at most; None where that may be any."""
        return None if self.hallucination is None else self.hallucination.classes_of_step

    def _rows(self, level: TrainingLevel) -> tuple[Tensor, Tensor]:
        """Features (R, D) and labels (R,) of the sampled RoIs and, in training, of added rows."""
        features, labels = level.features, level.labels
        if not self.training or self.hallucination is None:
            return features, labels
        more, more_labels = self.hallucination.added(level, self.criterion.indicator)
        features = torch.cat([features, more.to(features.dtype)])
        return features, torch.cat([labels, more_labels])

    def _loss(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:
        """One loss over all rows, or that of the added ones beside that of the others."""
        weight = None if self.hallucination is None else self.hallucination.weight
        if weight is None:
            return self.criterion.of_step(logits, labels, rows)
        real = len(labels) - rows.added
        sampled = replace(rows, features=rows.features[:real], added=0)
        added = replace(rows, features=rows.features[real:])
        loss = self.criterion.of_step(logits[:real], labels[:real], sampled)
        return loss + weight * self.criterion.of_step(logits[real:], labels[real:], added)

    @property
    def kin(self) -> Hashable | None:
        """Classifiers of equal kin have their losses together; None: this one has it alone."""
        loss, added = self.criterion.kin, self.hallucination
        if type(self) is not Classifier or not self.training or loss is None:
            return None
        if added is None:
            return loss, None
        return None if added.kin is None or added.weight is not None else (loss, added.kin)

    def logits(self, features: Tensor, level: Level) -> Tensor:
        """(R, K) logits, float32 at least, of features (R, D): the level's, and any added to them.

        Args:
            features: what the predictor reads.
            level: of the RoIs, for classifiers that look at more than their features.
        """
        return precisely(self.predictor, features)

    def scores(
        self, logits: Tensor, level: Level, calibration: Calibration | None = None
    ) -> Tensor:
        """Scores (R, C + 1) of logits (R, K), background last, by its calibration or another.

        Raises:
            OptionError: see `Calibration.require_logits`.
        """
        chosen = calibration or self.calibration
        chosen.require_logits(self.criterion)
        scores: Tensor = chosen(logits, self.criterion.probabilities, level)
        return scores


def _once_a_step(loss: ClassificationLoss) -> bool:
    """Of it, or of one that it is built on."""
    return any(getattr(part, "once_a_step", False) for part in loss.modules())
