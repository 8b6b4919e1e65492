"""How well anchors fit objects, wherever they stand.

A: anchors of a position. L: levels. O: objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bacl.data.batch import STRIDE


@dataclass(frozen=True)
class AnchorShapes:
    """Anchors as `bacl.detectors.anchors.AnchorGenerator` places them."""

    sides: np.ndarray
    """(L, A, 2) float64 width and height in pixels."""
    strides: np.ndarray
    """(L,) int64 pixels."""

    @classmethod
    def of(cls, scale: float, ratios: Sequence[float], strides: Sequence[int]) -> "AnchorShapes":
        """Those of `scale` times the stride, with these ratios of height to width."""
        root = np.sqrt(np.asarray(ratios, dtype=np.float64))
        unit = scale * np.stack((1 / root, root), axis=1)
        return cls(np.stack([stride * unit for stride in strides]), np.asarray(strides))

    def scaled(self, factor: float) -> "AnchorShapes":
        """The same with sides times `factor`."""
        return AnchorShapes(self.sides * factor, self.strides)

    def best_overlaps(self, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """(O,) largest IoU of each object with any anchor.

        Among anchors of one shape the one with the nearest centre has the largest: the overlap
        falls with the distance along each axis. So an object is compared with L · A anchors.

        Args:
            boxes: (O, 4) xyxy in pixels of the frame.
            sizes: (O, 2) width and height of the frame of each; anchors stand in its padding, too.
        """
        centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        best, padded = np.zeros(len(boxes)), np.ceil(sizes / STRIDE) * STRIDE
        for stride, shapes in zip(self.strides.tolist(), self.sides, strict=True):
            cells = np.ceil(padded / stride) - 1
            shift = abs(np.clip(np.rint(centres / stride), 0, cells) * stride - centres)
            for shape in shapes:
                np.maximum(best, _overlaps(sides, shape, shift), out=best)
        return best


def _overlaps(sides: np.ndarray, shape: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """IoU of boxes with (O, 2) sides and boxes of one shape whose centres lie (O, 2) away."""
    common = np.minimum(np.minimum(sides, shape), (sides + shape) / 2 - shift).clip(min=0)
    shared = common.prod(axis=1)
    return shared / (sides.prod(axis=1) + shape.prod() - shared).clip(min=1e-9)
