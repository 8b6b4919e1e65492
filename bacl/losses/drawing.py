"""What losses share that draw rows or classes at random."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bacl.losses.base import ClassificationLoss
from bacl.processes.own_draws import OwnDraws


class DrawingLoss(OwnDraws, ClassificationLoss):
    """A loss with draws of its own, new in every step: `observe` ends the step.

    Each process draws for its own rows. It stands before the loss that it is made from.
    """

    stream = (1,)

    def uniform(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """The step's draws, float32 of this shape in [0, 1)."""
        return torch.rand(*shape, generator=self.generator(device), device=device)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """The next step draws anew; see `ClassificationLoss`."""
        super().observe(logits, labels)
        self.calls += 1
