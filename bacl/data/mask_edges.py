"""Masks of objects as the places where rows of pixels enter and leave them.

A bitmap of an object costs a byte for each pixel of the picture, whatever its size; its edges cost
a few for each row that it covers. So masks travel as edges, from the annotations through resize,
crop and mirror to the device that learns them, and become bitmaps there, as many as are looked at.
Nothing is rounded on the way: the bitmaps are those that would have been resized, bit for bit.

N: objects. E: edges of all of them. H, W: height and width of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from bacl.data.annotations.run_lengths import RunLengths, toggles

OBJECT, ROW, COLUMN, STEP = range(4)
"""Columns of `edges`."""


@dataclass(slots=True)
class MaskEdges:
    """N masks of one frame."""

    edges: Tensor
    """(E, 4) int32, by object: its number in [0, N), row in [0, H), column in [0, W], and 1 where
    the row enters the object's mask at this column, -1 where it has left it. A row that leaves and
    enters at one column goes on."""
    counts: list[int]
    """N numbers of edges; on the host, wherever the edges are."""
    size: tuple[int, int]
    """H and W."""

    @classmethod
    def none(cls, size: tuple[int, int]) -> Self:
        """Of no object."""
        return cls(torch.zeros(0, 4, dtype=torch.int32), [], size)

    @classmethod
    def of_run_lengths(cls, codes: Sequence[RunLengths], size: tuple[int, int]) -> Self:
        """Of N compressed COCO run-length masks of (H, W) `size`; no pixel is looked at.

        COCO's runs go down the columns. An edge is where a pixel differs from the one left of it,
        H places before: where a mask and itself, moved by H, are not both or both not.

        Raises:
            ValueError: for codes that no encoder writes.
        """
        height, width = size
        span = height * (width + 1)
        changes = [toggles(code["counts"]) + n * span for n, code in enumerate(codes)]
        own = np.concatenate([np.zeros(0, np.int64), *changes])
        both = np.sort(np.concatenate([own, own + height]), kind="stable")
        begin, end = both[0::2], both[1::2]
        inside = np.searchsorted(own, begin, side="right") % 2 == 1
        places, lengths = _ranges(begin, end)
        number, place = np.divmod(places, span)
        column, row = np.divmod(place, height)
        steps = np.repeat(np.where(inside, 1, -1), lengths)
        return cls._of(number, row, column, steps, len(codes), size)

    @classmethod
    def of_bitmaps(cls, masks: Tensor) -> Self:
        """Of (N, H, W) bool, or uint8 in {0, 1}, on the CPU."""
        bits = masks.numpy().astype(bool, copy=False)
        number, height, width = bits.shape
        changes = np.zeros((number, height, width + 1), dtype=bool)
        if width:
            changes[:, :, 0], changes[:, :, width] = bits[:, :, 0], bits[:, :, -1]
            np.not_equal(bits[:, :, 1:], bits[:, :, :-1], out=changes[:, :, 1:width])
        objects, row, column = np.unravel_index(np.flatnonzero(changes), changes.shape)
        inside = (column < width) & bits[objects, row, np.minimum(column, width - 1)]
        return cls._of(objects, row, column, np.where(inside, 1, -1), number, (height, width))

    @classmethod
    def _of(
        cls,
        number: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        steps: np.ndarray,
        objects: int,
        size: tuple[int, int],
    ) -> Self:
        """Of (E,) columns, by object."""
        edges = np.stack([number, row, column, steps], axis=1).astype(np.int32)
        return cls(torch.from_numpy(edges), np.bincount(number, minlength=objects).tolist(), size)

    def __len__(self) -> int:
        return len(self.counts)

    def to(self, device: torch.device | str) -> Self:
        """The same with the edges on `device`."""
        return replace(self, edges=self.edges.to(device))

    def padded(self, height: int, width: int) -> Self:
        """The same in a frame that is larger to the right and below."""
        return replace(self, size=(height, width))

    def select(self, kept: Tensor) -> Self:
        """Those of the objects that (N,) bool `kept` marks, in their order; on the CPU."""
        numbers = torch.cumsum(kept, 0, dtype=torch.int32) - 1
        own = self.edges[:, OBJECT].long()
        edges = self.edges[kept[own]].clone()
        edges[:, OBJECT] = numbers[own[kept[own]]]
        counts = [count for count, stays in zip(self.counts, kept.tolist(), strict=True) if stays]
        return replace(self, edges=edges, counts=counts)

    def taken(
        self, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], flip: bool = False
    ) -> Self:
        """The masks whose pixel (y, x) is (rows[y], columns[x]) of these; on the CPU.

        So masks are resized with the nearest pixels, and cropped.

        Args:
            rows: (h,) ascending, may repeat.
            columns: (w,) ascending, may repeat.
            size: height and width of the new frame, at least h and w; the rest is empty.
            flip: mirror the w columns.
        """
        number, row, column, steps = self.edges.numpy().T
        begin, end = (np.searchsorted(rows, row, side=side) for side in ("left", "right"))
        places, times = _ranges(begin, end)
        moved = np.searchsorted(columns, column, side="left")
        if flip:
            moved, steps = len(columns) - moved, -steps
        number, moved, steps = (np.repeat(each, times) for each in (number, moved, steps))
        return self._of(number, places, moved, steps, len(self), size)

    def bitmaps(self, first: int = 0, last: int | None = None) -> Tensor:
        """(n, H, W) bool, where the edges are, of the objects from `first` to before `last`."""
        last = len(self) if last is None else min(last, len(self))
        begin = sum(self.counts[:first])
        edges = self.edges[begin : begin + sum(self.counts[first:last])]
        height, width = self.size
        number, row, column, steps = edges.long().unbind(1)
        steps = (steps * (column < width)).to(torch.int8)  # what leaves at the frame just ends
        places = ((number - first) * height + row) * width + column.clamp(max=width - 1)
        changes = steps.new_zeros((last - first) * height * width).index_add_(0, places, steps)
        # Whole numbers: the same on every device, whatever the order of a sum.
        inside = changes.view(last - first, height, width).cumsum(2, dtype=torch.int8)
        return inside.view(torch.bool)


def _ranges(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole numbers of R ranges, one after the other, and (R,) how many each has."""
    lengths = end - begin
    before = np.cumsum(lengths) - lengths
    return np.repeat(begin - before, lengths) + np.arange(lengths.sum()), lengths
