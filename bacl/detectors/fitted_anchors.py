"""Anchors of given sides whose cells share out the input (torchvision's conventions)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor

from bacl.detectors.anchors import AnchorGenerator
from bacl.options.ranges import LevelStrides, Positive

Several = Annotated[Sequence[Positive], Len(1)]


class FittedAnchors(AnchorGenerator):
    """Anchors of several areas per level, with corners at whole pixels around their cell's own.

    Where a level's map is rounded up, as is the one of stride 64 for inputs of 224 pixels, its
    cells are as many whole pixels apart as the input has for each: 56, not 64. The A anchors of a
    position are the sides of the first ratio, then those of the second, and so on.

    Args:
        sides: of square anchors, in pixels, for each level; equally many on every level.
        ratios: height / width; the anchors of a side have the same area, before rounding.
        strides: one per level, in pixels; the first divides the input.

    Raises:
        ValueError: levels with other numbers of sides, or not as many as there are strides.
    """

    def __init__(
        self,
        sides: Annotated[Sequence[Several], Len(1, 10)],
        ratios: Several,
        strides: LevelStrides,
    ) -> None:
        super().__init__(1.0, ratios, strides)
        if len(sides) != len(strides) or len({len(level) for level in sides}) != 1:
            raise ValueError(
                f"sides={[list(level) for level in sides]}: expected equally many for each of the "
                f"strides {list(strides)}"
            )
        half = torch.stack([_half_sides(level, ratios) for level in sides]).round()
        self.base = torch.cat((-half, half), dim=2)

    def steps(self, shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Pixels from a cell to the one below and to the one beside it, on each level."""
        height, width = (side * self.strides[0] for side in shapes[0])
        return [(height // rows, width // columns) for rows, columns in shapes]


def _half_sides(sides: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """(A, 2) half widths and heights of the anchors of a level."""
    root = torch.tensor(list(ratios), dtype=torch.float32).sqrt()
    shapes = torch.stack((1 / root, root), dim=1)
    return (shapes.unsqueeze(1) * torch.tensor(list(sides)).view(1, -1, 1) / 2).flatten(0, 1)
