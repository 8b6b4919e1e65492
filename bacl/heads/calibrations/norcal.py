"""NorCal (Pan et al., "On Model Calibration for Long-Tailed Object Detection", NeurIPS 2021).

n: images of the training file with the category.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import renormalised
from bacl.heads.calibrations.shift import ScoreShift
from bacl.options.ranges import Classes, ShareBelowOne


class NorCal(ScoreShift):
    """Probabilities over n^gamma, normalised anew over classes and background.

    Of a softmax that is e^z / n^gamma over the sum of all these and background's e^z (Eq. 5). Of
    other losses the scores are divided and normalised in the same way.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        gamma: 0 for no calibration.
    """

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        return renormalised(super().forward(logits, probabilities, level), logits)


class EffectiveNorCal(NorCal):
    """NorCal by the effective number of images, (1 - gamma^n) / (1 - gamma), in place of n^gamma.

    The number is that of the class-balanced loss (Cui et al., CVPR 2019): 1 for gamma = 0, and
    towards n as gamma goes to 1.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        gamma: below 1; 0 for no calibration.
    """

    def __init__(
        self, num_classes: Classes, statistics: TrainingStatistics, gamma: ShareBelowOne
    ) -> None:
        super().__init__(num_classes, statistics, gamma)

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        powers = torch.tensor(self.gamma).double() ** self.counts(statistics, "images")
        return {"factors": (1 - self.gamma) / (1 - powers)}
