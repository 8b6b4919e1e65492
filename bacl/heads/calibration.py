"""Calibration: what a head does to the scores of a finished classifier."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from bacl.detectors.levels import Level


class Calibration(nn.Module, ABC):
    """From the logits of a trained classifier to the scores that rank detections.

    What it needs is known before training (counts of the training file) or gathered after it, in
    buffers. It has no gradient, and no part in training.

    R: RoIs. C: foreground classes. K: logits of the loss.
    """

    @abstractmethod
    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """Scores (R, C + 1), background last.

        Args:
            logits: (R, K), of a cascade the mean of its levels'.
            probabilities: the loss's own scores (R, C + 1) of logits.
            level: of the RoIs; of a cascade the last one.
        """


class Uncalibrated(Calibration):
    """The probabilities as they are."""

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        return probabilities(logits)
