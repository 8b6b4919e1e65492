"""Calibration: what a head does to the scores of a finished classifier."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bacl.detectors.levels import Level
from bacl.losses.base import ClassificationLoss
from bacl.messages.errors import OptionError


class TrainingStatistics(Protocol):
    """What calibrations read of the training annotations: `CategoryStatistics` has it.

    Per category, (C,) arrays or tensors by ascending id.
    """

    @property
    def image_counts(self) -> Any:
        """Images with the category."""

    @property
    def instance_counts(self) -> Any:
        """Objects of the category."""

    @property
    def num_images(self) -> int:
        """All images."""

    @property
    def fractal_dimensions(self) -> Any:
        """How far the category's objects spread, at least 1; None where it is not known."""


class Calibration(nn.Module, ABC):
    """From the logits of a trained classifier to the scores that rank detections.

    It has no gradient and no part in training: a checkpoint that was trained with another one, or
    without, is calibrated as well. What it takes of the training annotations is in buffers that are
    not saved, as a checkpoint has the statistics themselves; what it gathers with a trained
    classifier is in buffers that are.

    R: RoIs. C: foreground classes. K: logits of the loss; the first C are the foreground's, and all
    that it has unless the loss says otherwise.
    """

    reads: tuple[str, ...] = ()
    """What it takes of `TrainingStatistics`, by name."""
    changes_logits = False
    """Whether it changes logits by class, which has to have one alone: see `require_logits`."""
    gathers = False
    """Whether it wants a pass over training images with the trained classifier: see `observe`."""

    @property
    def waits(self) -> bool:
        """Whether it has yet to observe what it gathers."""
        return self.gathers

    def require_logits(self, loss: ClassificationLoss) -> None:
        """Refuse to change some of a class's logits and leave others.

        Raises:
            OptionError: classes have several logits in this loss, or in one that it is built on.
        """
        alone = all(getattr(part, "one_logit_a_class", True) for part in loss.modules())
        if self.changes_logits and not alone:
            raise OptionError(
                f"{type(self).__name__} changes one logit of each class, but {type(loss).__name__} "
                "scores by several: choose a calibration that changes scores, such as norcal or "
                "shift, or calibrate another head"
            )

    @abstractmethod
    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """Scores (R, C + 1), background last.

        Args:
            logits: (R, K), what `mean` gave.
            probabilities: the loss's own scores (R, C + 1) of logits.
            level: of the RoIs; of a cascade the last one.
        """

    def mean(self, logits: Sequence[Tensor], predictors: Sequence[nn.Module]) -> Tensor:
        """(R, K) logits that are scored: the mean of a cascade's levels, or the only level's.

        Args:
            logits: (R, K) of each level.
            predictors: made them; for calibrations that look at their weights.
        """
        return logits[0] if len(logits) == 1 else torch.stack(list(logits)).mean(dim=0)

    def take(self, statistics: TrainingStatistics) -> None:
        """Calibrate by these statistics from now on: those that the classifier was trained with."""

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Fold the RoIs of one training step in, where it `gathers`; nothing is trained meanwhile.

        Every process calls it together, also one without RoIs.

        Args:
            logits: (R, K), what `mean` gave; of a cascade, of the last level alone.
            labels: (R,) int64 in [0, C].
        """


class Uncalibrated(Calibration):
    """The probabilities as they are."""

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        return probabilities(logits)
