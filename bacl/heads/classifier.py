"""A classifier: predictor, loss and the features that are added to a step."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from bacl.detectors.levels import Level, TrainingLevel
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.calibration import Calibration, Uncalibrated
from bacl.heads.hallucination import AddedFeatures
from bacl.losses.base import ClassificationLoss
from bacl.messages.errors import OptionError
from bacl.options.ranges import Rate, Seed, Width


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
            weights; None leaves it to the stage.
        learning_rate: of its head, where it is not the stage's; scaled with the batch like it.
        weight_decay: of its head, where it is not the stage's.

    Raises:
        OptionError: hallucination without the long-term indicator in the loss that it reads.
    """

    def __init__(
        self,
        feature_dim: Width,
        loss: ClassificationLoss,
        hallucination: AddedFeatures | None = None,
        predictor: Callable[[int, int], nn.Module] | None = None,
        calibration: Calibration | None = None,
        seed: Seed = 0,
        init: Literal["inherit", "fresh"] | None = None,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
    ) -> None:
        super().__init__()
        if hallucination is not None and hallucination.reads_indicator and loss.indicator is None:
            raise OptionError(
                "feature hallucination draws classes by a long-term indicator (Eq. 12), but the "
                "loss has none: take a loss that has one, or fhm@head.hallucination=none"
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
        features, labels = level.features, level.labels
        if self.training and self.hallucination is not None:
            more, more_labels = self.hallucination.added(level, self.criterion.indicator)
            features = torch.cat([features, more.to(features.dtype)])
            labels = torch.cat([labels, more_labels])
        logits = self.predictor(features)
        loss = self.criterion(logits, labels)
        if self.training:
            self.criterion.observe(logits.detach(), labels)
        return loss

    def scores(self, logits: Tensor, level: Level) -> Tensor:
        """Calibrated scores (R, C + 1) of logits (R, K), background last."""
        return self.calibration(logits, self.criterion.probabilities, level)
