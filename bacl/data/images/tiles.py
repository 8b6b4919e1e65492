"""Large pictures as overlapping tiles, each of which is a picture of its own for a detector."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Place(NamedTuple):
    """Where a tile lies, in pixels of its picture."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size, evenly spread, that overlap by a share of it at least.

    Args:
        side: of a tile, in pixels of the picture.
        overlap: of neighbours, as a share of their side, in [0, 1).
    """

    side: int
    overlap: float

    def divides(self, picture: Tensor) -> bool:
        """Whether a picture (3, H, W) is larger than a tile."""
        return max(picture.shape[1:]) > self.side

    def places(self, height: int, width: int) -> list[Place]:
        """Tiles of a picture, row by row; none of one that is no larger than a tile.

        >>> Tiling(100, 0.2).places(100, 180)
        [Place(top=0, left=0, height=100, width=100), Place(top=0, left=80, height=100, width=100)]
        """
        if max(height, width) <= self.side:
            return []
        h, w = min(self.side, height), min(self.side, width)
        tops, lefts = self._starts(height), self._starts(width)
        return [Place(top, left, h, w) for top in tops for left in lefts]

    def _starts(self, side: int) -> list[int]:
        """Where tiles begin along a side."""
        rest = side - self.side
        if rest <= 0:
            return [0]
        steps = math.ceil(rest / max(self.side * (1 - self.overlap), 1))
        return [round(step * rest / steps) for step in range(steps + 1)]


def tile_of(picture: Tensor, place: Place) -> Tensor:
    """(3, h, w) of a picture (3, H, W), in memory of its own."""
    rows = slice(place.top, place.top + place.height)
    return picture[:, rows, place.left : place.left + place.width].contiguous()
