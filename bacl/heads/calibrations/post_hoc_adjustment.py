"""Post-hoc logit adjustment (Menon et al., "Long-tail learning via logit adjustment", 2021)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import Counted, CountedCalibration
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, NotNegative, Probability


class LogitAdjustment(CountedCalibration):
    """The loss's scores of z - tau · log(pi), with pi the category's share of the training data.

    The paper knows no background. Here its logit stays as it is, or is adjusted by a share of its
    own, which is then missing from those of the categories.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        tau: 0 for no adjustment, 1 for the full one.
        of: what pi is a share of, "images" or "instances".
        background: its share of all; None leaves its logit as it is.
    """

    changes_logits = True
    reads = ("image_counts", "instance_counts")
    shifts: Tensor
    """(C,), or (C + 1,) with background."""

    def __init__(
        self,
        num_classes: Classes,
        statistics: TrainingStatistics,
        tau: NotNegative,
        of: Counted,
        background: Probability | None = None,
    ) -> None:
        super().__init__(num_classes)
        self.tau = tau
        self.of: Counted = of
        self.background = background
        self.take(statistics)

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        counts = self.counts(statistics, self.of)
        priors = counts / counts.sum()
        if self.background is not None:
            shares = priors * (1 - self.background), priors.new_full((1,), self.background)
            priors = torch.cat(shares)
        return {"shifts": -self.tau * priors.log()}

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        adjusted, others = logits[:, : len(self.shifts)], logits[:, len(self.shifts) :]
        if self.background is not None and logits.shape[1] != self.num_classes + 1:
            raise OptionError(
                f"calibration.background={self.background}: this loss has {logits.shape[1]} logits "
                f"for {self.num_classes} categories, and none that is background's alone; leave it "
                "null"
            )
        return probabilities(torch.cat((adjusted + self.shifts, others), dim=1))
