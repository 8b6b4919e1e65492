"""Adam (Kingma and Ba, ICLR 2015) for what a loss learns by gradients of its own."""

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
SMALLEST = 1e-8
"""Added to the root that divides; the paper's values, as are the shares of the past."""


class Adam(nn.Module):
    """Numbers that begin at zero, and their moments, as buffers: a resumed run continues exactly.

    Args:
        size: how many.
        rate: of learning.
    """

    value: Tensor
    """(size,) float64."""
    mean: Tensor
    """(size,) float64: of the gradients, a running one."""
    square: Tensor
    """(size,) float64: of their squares."""
    steps: Tensor
    """Scalar int64."""

    def __init__(self, size: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        for name in ("value", "mean", "square"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def moved(self, gradient: Tensor, moves: Tensor) -> list[Tensor]:
        """Value, mean, square and steps after a step, for `keep`.

        Args:
            gradient: (size,) float64.
            moves: scalar bool; False leaves all as it is.
        """
        steps = self.steps + 1
        mean = self.mean.lerp(gradient, 1 - BETAS[0])
        square = self.square.lerp(gradient.square(), 1 - BETAS[1])
        first, second = (1 - beta ** steps.double() for beta in BETAS)
        change = self.rate * (mean / first) / ((square / second).sqrt() + SMALLEST)
        before = [self.value, self.mean, self.square, self.steps]
        after = [self.value - change, mean, square, steps]
        return [torch.where(moves, new, old) for new, old in zip(after, before, strict=True)]

    def keep(self, moved: list[Tensor]) -> None:
        """Go on from what `moved` gave."""
        self.value, self.mean, self.square, self.steps = moved
