"""The plainest calibration by counts: scores over a power of the category's training images."""

from collections.abc import Callable

import torch
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import CountedCalibration
from bacl.options.ranges import Classes, NotNegative


class ScoreShift(CountedCalibration):
    """Scores over n^gamma, not normalised: a shift of their logarithm by -gamma · log n.

    The order of the detections of a category stays, that across categories changes. Normalised
    anew it is `NorCal`. Scores become small: a detector's score threshold cuts off more of them.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        gamma: 0 for no calibration.
    """

    factors: Tensor
    """(C,)."""

    def __init__(
        self, num_classes: Classes, statistics: TrainingStatistics, gamma: NotNegative
    ) -> None:
        super().__init__(num_classes)
        self.gamma = gamma
        self.take(statistics)

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        return {"factors": self.counts(statistics, "images").pow(-self.gamma)}

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`; background's score stays as it is."""
        scores = probabilities(logits)
        foreground, background = scores[:, : self.num_classes], scores[:, self.num_classes :]
        return torch.cat((foreground * self.factors, background), dim=1)
