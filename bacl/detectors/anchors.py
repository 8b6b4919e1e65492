"""Anchor boxes of a feature pyramid."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor, nn

from bacl.options.ranges import Positive, Strides


class AnchorGenerator(nn.Module):
    """Anchors centred on stride multiples, one area per level, A aspect ratios, not rounded.

    Args:
        scale: side of a square anchor in strides of its level.
        ratios: height / width of the A anchors at a position; all have the same area.
        strides: one per level, in pixels.
    """

    base: Tensor

    def __init__(
        self, scale: Positive, ratios: Annotated[Sequence[Positive], Len(1)], strides: Strides
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        root = torch.tensor(list(ratios), dtype=torch.float32).sqrt()
        shapes = torch.stack((1 / root, root), dim=1)
        half = torch.stack([0.5 * (stride * shapes * scale) for stride in self.strides])
        self.register_buffer("base", torch.cat((-half, half), dim=2), persistent=False)

    @property
    def per_position(self) -> int:
        """A."""
        return self.base.shape[1]

    def forward(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Anchors (H W A, 4) per level for feature maps of (H, W), row by row, xyxy in pixels."""
        if len(shapes) != len(self.strides):
            raise ValueError(f"{len(shapes)} feature maps for {len(self.strides)} anchor strides")
        levels = zip(self.base, self.strides, shapes, strict=True)
        return [self._level(base, stride, *shape) for base, stride, shape in levels]

    def inside(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int]) -> Tensor:
        """Which of all levels' anchors lie on a cell of the first `size` (height, width) pixels.

        Returns:
            (·,) int64, ascending, on `base`'s device: indices into the levels one after the other.
        """
        grids, first = [], 0
        for stride, (height, width) in zip(self.strides, shapes, strict=True):
            count = height * width * self.per_position
            grid = torch.arange(first, first + count, device=self.base.device)
            rows, columns = (-(-side // stride) for side in size)
            grids.append(grid.view(height, width, -1)[:rows, :columns].flatten())
            first += count
        return torch.cat(grids)

    def _level(self, base: Tensor, stride: int, height: int, width: int) -> Tensor:
        x = torch.arange(width, device=base.device) * stride
        y = torch.arange(height, device=base.device) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack((grid_x, grid_y, grid_x, grid_y), dim=-1)
        return (shifts.unsqueeze(2) + base).reshape(-1, 4)
