"""Where an augmentation puts pictures and their objects, told without looking at a pixel.

I: pictures. A: boxes.
"""

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from torch import nn
from torchvision.transforms import v2


@dataclass(frozen=True)
class Frames:
    """For each picture: a resize, then a crop to a frame."""

    scale: np.ndarray
    """(I, 2) float64: new over old width, and height."""
    offset: np.ndarray
    """(I, 2) float64: left and top of the frame, in pixels of the resized picture."""
    size: np.ndarray
    """(I, 2) int64: width and height of the frame."""

    @classmethod
    def whole(cls, sizes: np.ndarray) -> Self:
        """Pictures of (I, 2) `sizes`, height and width, as they are."""
        upright = sizes[:, ::-1].astype(np.int64)
        return cls(np.ones(upright.shape), np.zeros(upright.shape), upright)

    def then(self, later: Self) -> Self:
        """The frames of a second step, whose pictures are these frames."""
        offset = self.offset * later.scale + later.offset
        return type(self)(self.scale * later.scale, offset, later.size)

    def moved(self, boxes: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """(A, 4) xyxy in pixels of the frames, not clipped, of boxes [x, y, width, height].

        Args:
            boxes: (A, 4) in pixels of the file.
            owners: (A,) picture of each.
        """
        scale, offset = self.scale[owners], self.offset[owners]
        low = boxes[:, :2] * scale - offset
        return np.concatenate([low, low + boxes[:, 2:] * scale], axis=1)


@runtime_checkable
class Framing(Protocol):
    """A transform that knows where pictures land. Mirrors do not count."""

    def frames(self, sizes: np.ndarray, draws: np.random.Generator) -> Frames:
        """One draw for each picture of (I, 2) `sizes`, height and width in pixels."""


def frames_of(transform: nn.Module, sizes: np.ndarray, seed: int = 0) -> Frames:
    """Where a transform puts pictures, with one draw for each, as in an epoch of training.

    A transform that is no `Framing` is taken to leave the geometry alone, as a mirror does.

    Args:
        transform: of a `Sample`, or several in a row (`v2.Compose`).
        sizes: (I, 2) height and width in pixels of the file.
        seed: of the draws.
    """
    draws, frames = np.random.default_rng(seed), Frames.whole(sizes)
    steps = transform.transforms if isinstance(transform, v2.Compose) else [transform]
    for step in steps:
        if isinstance(step, Framing):
            frames = frames.then(step.frames(frames.size[:, ::-1], draws))
    return frames
