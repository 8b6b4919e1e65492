"""Iterative refinement of RoIs by what was made of them (PCB; He et al., CVPR 2022).

R: RoIs. K: logits. B: deltas of a box regression, four for each class or four for all.
"""

from torch import Tensor, nn

from bacl.options.ranges import Side, Width


class Refinement(nn.Module):
    """Scales the places of pooled RoIs by their deltas, and shifts their channels by their logits.

    The factors (side, side) and the shifts (channels,) come of two layers each. At first it changes
    nothing: the last layers begin with weights of zero (decided here).

    Args:
        num_deltas: B.
        num_logits: K.
        channels: of the RoIs.
        side: of the RoIs, in cells.
        width: of the hidden layers.
    """

    def __init__(
        self, num_deltas: int, num_logits: int, channels: Width, side: Side, width: Width
    ) -> None:
        super().__init__()
        self.side = side
        self.factors = _two_layers(num_deltas, width, side * side)
        self.shifts = _two_layers(num_logits, width, channels)

    def forward(self, pooled: Tensor, deltas: Tensor, logits: Tensor) -> Tensor:
        """(R, channels, side, side) of RoIs of this shape, deltas (R, B) and logits (R, K)."""
        factors = 1 + self.factors(deltas).unflatten(1, (1, self.side, self.side))
        shifts = self.shifts(logits)[:, :, None, None]
        return pooled * factors + shifts


def _two_layers(before: int, width: int, after: int) -> nn.Sequential:
    last = nn.Linear(width, after)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(before, width), nn.ReLU(), last)
