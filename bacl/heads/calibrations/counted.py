"""What calibrations by counts of the training annotations share.

R: RoIs. C: foreground classes. K: logits of the loss.
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor

from bacl.heads.calibration import Calibration, TrainingStatistics
from bacl.indicators.base import COUNT_FLOOR
from bacl.indicators.counts import counts_of
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes

Counted = Literal["images", "instances"]
"""What of a category is counted."""


class CountedCalibration(Calibration):
    """Numbers for each category, made of the training annotations' statistics.

    A category without any object counts as one with a single object.

    Args:
        num_classes: C.
    """

    reads: tuple[str, ...] = ("image_counts",)

    def __init__(self, num_classes: Classes) -> None:
        super().__init__()
        self.num_classes = num_classes

    @abstractmethod
    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """Buffers by name, of what it `reads`."""

    def take(self, statistics: TrainingStatistics) -> None:
        """See `Calibration.take`.

        Raises:
            ValueError: the statistics are of other categories.
            OptionError: they lack what it reads.
        """
        for name in self.reads:
            if getattr(statistics, name) is None:
                raise OptionError(
                    f"{type(self).__name__} reads statistics.{name}, which these statistics of an "
                    "earlier version do not have: take them of the annotation file"
                )
        for name, values in self.numbers(statistics).items():
            self.register_buffer(name, values.float(), persistent=False)

    def counts(self, statistics: Any, of: Counted) -> Tensor:
        """(C,) float64, at least 1.

        Raises:
            ValueError: the statistics are of other categories.
        """
        counts = counts_of(statistics, f"{of[:-1]}_counts", self.num_classes)
        return counts.double().clamp(min=COUNT_FLOOR)


def renormalised(scores: Tensor, logits: Tensor) -> Tensor:
    """Scores (R, C + 1) of logits (R, K), divided by their sum over classes and background.

    Raises:
        OptionError: the loss has no logit of background, whose score would count as 0: every RoI
            would be some object.
    """
    if logits.shape[1] < scores.shape[1]:
        raise OptionError(
            "the calibration divides scores by their sum over classes and background, and this "
            "loss does not score background: take one that does not, such as shift or "
            "fracal_sigmoid, or a loss with background"
        )
    total = scores.sum(dim=1, keepdim=True)
    return scores / total.clamp(min=torch.finfo(scores.dtype).tiny)
