"""LogN (Zhao et al., "LogN: Logit Normalization for Long-Tailed Object Detection", IJCV 2024)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import Calibration
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, PositiveShare
from bacl.processes.distributed import sum_over_processes

SMALLEST = 1e-11
"""Of a variance whose square root divides; published code."""


class LogN(Calibration):
    """Logits of every foreground class less their mean, over their deviation, in training RoIs.

    z' = (z - (mean - least mean)) / deviation; background's logit stays as it is. Mean and variance
    are the running ones of a batch norm: they begin with 0 and 1, and every step of the pass moves
    them by a share towards those of its RoIs, of all processes together.

    Args:
        num_classes: C.
        momentum: the share. The published one is so small that they stay near where they began
            (after the 6,200 steps of an epoch of LVIS 27% of the way). None for the mean of all
            steps.
    """

    changes_logits = True
    gathers = True
    means: Tensor
    """(C,) float64."""
    variances: Tensor
    """(C,) float64, unbiased."""

    def __init__(self, num_classes: Classes, momentum: PositiveShare | None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.momentum = momentum
        self.steps = 0
        self.register_buffer("means", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("variances", torch.ones(num_classes, dtype=torch.float64))

    @property
    def waits(self) -> bool:
        """Until its first step."""
        return not self.steps

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """See `Calibration`."""
        rows = logits[:, : self.num_classes].double()
        sums = torch.stack((torch.ones_like(rows).sum(0), rows.sum(0), rows.square().sum(0)))
        counts, total, squares = sum_over_processes(sums)
        count = float(counts[0])
        if not count:  # on all processes
            return
        self.steps += 1
        share = self.momentum or 1 / self.steps
        variance = (squares - total.square() / count) / max(1.0, count - 1)
        self.means = self.means.lerp(total / count, share)
        self.variances = self.variances.lerp(variance.clamp(min=0), share)

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`.

        Raises:
            OptionError: nothing has been gathered yet.
        """
        if not self.steps:
            raise OptionError(
                "LogN has gathered no statistics: it calibrates a trained classifier, after a pass "
                "over training images; train without it, and choose it where the finished "
                "checkpoint is evaluated"
            )
        foreground, others = logits[:, : self.num_classes], logits[:, self.num_classes :]
        shifts = (self.means - self.means.min()).to(logits.dtype)
        deviations = self.variances.clamp(min=SMALLEST).sqrt().to(logits.dtype)
        return probabilities(torch.cat(((foreground - shifts) / deviations, others), dim=1))

    def get_extra_state(self) -> dict[str, int]:
        """Steps of the pass."""
        return {"steps": self.steps}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on where a checkpoint was written."""
        self.steps = state["steps"]
