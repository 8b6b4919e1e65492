"""FRACAL (Alexandridis et al., "Fractal Calibration for Long-Tailed Object Detection", CVPR 2025).

Categories are calibrated by how often they occur, and by how far their objects spread over the
pictures: those that lie everywhere are found everywhere. Details as in the published code.
n: images with the category. M: all images. phi: fractal dimension of the category's box centres.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import CountedCalibration, renormalised
from bacl.options.ranges import AboveOne, Classes, NotNegative


class FractalCalibration(CountedCalibration):
    """What both forms share: w = log_base(M / n) - log_base(C), and phi^strength.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        base: of the logarithm; the larger, the less counts matter.
        strength: lambda, of the fractal dimension; 0 for none.
    """

    changes_logits = True
    reads = ("image_counts", "fractal_dimensions")
    shifts: Tensor
    """(C,), added to logits of foreground classes."""

    def __init__(
        self,
        num_classes: Classes,
        statistics: TrainingStatistics,
        base: AboveOne,
        strength: NotNegative,
    ) -> None:
        super().__init__(num_classes)
        self.base = base
        self.strength = strength
        self.take(statistics)

    def by_counts(self, statistics: TrainingStatistics) -> Tensor:
        """(C,) float64, w."""
        rarity = statistics.num_images / self.counts(statistics, "images")
        return (rarity.log() - math.log(self.num_classes)) / math.log(self.base)

    def spread(self, statistics: TrainingStatistics) -> Tensor:
        """(C,) float64, phi^lambda."""
        return torch.as_tensor(statistics.fractal_dimensions).double().pow(self.strength)

    @abstractmethod
    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""


class FRACAL(FractalCalibration):
    """The form for softmax: scores of z + w over phi^lambda, normalised anew with background.

    The logit and the score of background stay as they are.

    Args:
        options: as of `FractalCalibration`.
    """

    spreads: Tensor
    """(C,)."""

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        return {"shifts": self.by_counts(statistics), "spreads": self.spread(statistics)}

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        foreground, others = logits[:, : self.num_classes], logits[:, self.num_classes :]
        scores = probabilities(torch.cat((foreground + self.shifts, others), dim=1))
        classes, background = scores[:, : self.num_classes], scores[:, self.num_classes :]
        return renormalised(torch.cat((classes / self.spreads, background), dim=1), logits)


class SigmoidFRACAL(FractalCalibration):
    """The form for sigmoids: the loss's score times sigmoid(z + w - log10(C · phi^lambda / sum)).

    The sum is that of phi^lambda over categories. Of a loss with a sigmoid of background, such as
    FCBL, the score sigmoid(z) · (1 - sigmoid(z_background)) is multiplied in the same way.

    Args:
        options: as of `FractalCalibration`.
    """

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        spread = self.spread(statistics)
        share = self.num_classes * spread / spread.sum()
        return {"shifts": self.by_counts(statistics) - share.log10()}

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        scores = probabilities(logits)
        classes, background = scores[:, : self.num_classes], scores[:, self.num_classes :]
        shifted = logits[:, : self.num_classes] + self.shifts
        return torch.cat((classes * shifted.sigmoid(), background), dim=1)
