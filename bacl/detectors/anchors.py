"""Anchor boxes of a feature pyramid."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Len
from torch import Tensor, nn

from bacl.detectors.transfers import sent
from bacl.options.ranges import LevelStrides, Positive

Shapes = tuple[tuple[int, int], ...]

KEPT = 4
"""Shapes of a pyramid whose anchors are kept, 24 bytes an anchor: 6 MB at 800 by 1344 pixels."""


@dataclass(frozen=True, eq=False, slots=True)
class Anchors:
    """The N anchors of an image over all levels, one level after the other."""

    coordinates: Tensor
    """(4, N) float32, x1, y1, x2 and y2 in pixels."""
    cells: Tensor
    """(2, N) int32, left and upper border in pixels of the cell that an anchor stands on."""
    last: tuple[int, int]
    """Upper border of the lowest cell and left border of the rightmost."""

    @property
    def boxes(self) -> Tensor:
        """(N, 4) xyxy, a view."""
        return self.coordinates.t()

    def inside(self, sizes: Sequence[tuple[int, int]]) -> Tensor | None:
        """Which anchors lie on a cell of the first (height, width) pixels of each image.

        Returns:
            (B, N) bool on the anchors' device; None where these are all anchors of all images.
        """
        if all(size[axis] > self.last[axis] for size in sizes for axis in (0, 1)):
            return None
        widths_and_heights = np.array(sizes, dtype=np.int32)[:, ::-1, None].copy()
        within = self.cells < sent(widths_and_heights, self.cells.device)
        return within[:, 0] & within[:, 1]


class AnchorGenerator(nn.Module):
    """Anchors centred on stride multiples, one area per level, A aspect ratios, not rounded.

    Args:
        scale: side of a square anchor in strides of its level.
        ratios: height / width of the A anchors at a position; all have the same area.
        strides: one per level, in pixels.
    """

    base: Tensor

    def __init__(
        self, scale: Positive, ratios: Annotated[Sequence[Positive], Len(1)], strides: LevelStrides
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        root = torch.tensor(list(ratios), dtype=torch.float32).sqrt()
        shapes = torch.stack((1 / root, root), dim=1)
        half = torch.stack([0.5 * (stride * shapes * scale) for stride in self.strides])
        self.register_buffer("base", torch.cat((-half, half), dim=2), persistent=False)
        self._kept: OrderedDict[tuple[Shapes, torch.device, torch.dtype], Anchors] = OrderedDict()

    @property
    def per_position(self) -> int:
        """A."""
        return self.base.shape[1]

    def steps(self, shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Pixels from a cell to the one below and to the one beside it, on each level."""
        return [(stride, stride) for stride in self.strides]

    def forward(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Anchors (H W A, 4) per level for feature maps of (H, W), row by row, xyxy in pixels."""
        if len(shapes) != len(self.strides):
            raise ValueError(f"{len(shapes)} feature maps for {len(self.strides)} anchor strides")
        levels = zip(self.base, self._cells(shapes), strict=True)
        return [(cells.repeat(1, 2).unsqueeze(1) + base).flatten(0, 1) for base, cells in levels]

    def placed(self, shapes: Sequence[tuple[int, int]]) -> Anchors:
        """The same anchors of all levels, kept for the next pyramid of these shapes."""
        key = tuple(shapes), self.base.device, self.base.dtype
        if key not in self._kept:
            with torch.inference_mode(False):  # made in a validation, used in training
                self._kept[key] = self._placed(shapes)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _placed(self, shapes: Sequence[tuple[int, int]]) -> Anchors:
        coordinates = torch.cat(self(shapes)).t().contiguous()
        cells = torch.cat(self._cells(shapes)).int().repeat_interleave(self.per_position, dim=0)
        pairs = list(zip(self.steps(shapes), shapes, strict=True))
        last_row, last_column = (max(s[i] * (shape[i] - 1) for s, shape in pairs) for i in (0, 1))
        return Anchors(coordinates, cells.t().contiguous(), (last_row, last_column))

    def _cells(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """(H W, 2) int64 per level, left and upper border of every cell in pixels."""
        device, cells = self.base.device, []
        for steps, sides in zip(self.steps(shapes), shapes, strict=True):
            pairs = zip(steps, sides, strict=True)
            y, x = (torch.arange(0, side * step, step, device=device) for step, side in pairs)
            cells.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1))
        return cells
