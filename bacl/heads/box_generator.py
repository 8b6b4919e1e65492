"""The bounding box generator: 16 jittered boxes around every object (Sec. III-E, Eq. 10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.boxes import clipped
from bacl.detectors.levels import ExtraBoxes
from bacl.detectors.transfers import sent

LARGEST_OFFSET = 1 / 6
"""Largest offset of an edge, as a fraction of the box's width or height (Eq. 10)."""


@dataclass(frozen=True)
class BoxGenerator:
    """Moves the four edges of every box by up to a sixth of its width or height.

    Each box gets one proposal for each of the 16 sign patterns of (x1, y1, x2, y2), so that the
    proposals surround the object evenly. Magnitudes are uniform in [0, 1), from torch's global
    generator. Generators of equal options are equal: heads that ask for them share the boxes.
    """

    shared: bool = False
    """The published behaviour: one draw of magnitudes per image, shared by its boxes, and edges
    clamped to [0, W - 1] and [0, H - 1]. Otherwise every box has its own magnitudes and edges are
    clamped to [0, W] and [0, H], as everywhere else in the detector."""

    proposals_per_box: ClassVar[int] = 16

    @torch.no_grad()
    def around(self, targets: Sequence[Target]) -> ExtraBoxes:
        """Jittered boxes of all objects of a batch."""
        labels = torch.cat([target.labels for target in targets])
        boxes = torch.cat([target.boxes for target in targets])
        counts = [len(target.boxes) for target in targets]
        draws = [self.draw(count, boxes.device).expand(count, -1, -1) for count in counts]
        sizes = np.repeat(np.array([target.size for target in targets]), counts, axis=0)
        moved = self._moved(boxes, sizes, torch.cat(draws))
        patterns = self.proposals_per_box
        parts = moved.split([patterns * count for count in counts])
        return ExtraBoxes(list(parts), labels.repeat_interleave(patterns), moved)

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Magnitudes in [0, 1) of an image's boxes, (N, 16, 4), or (1, 16, 4) where it is shared.

        Args:
            count: N.
            device: of the boxes.
        """
        return torch.rand((1 if self.shared else count, self.proposals_per_box, 4), device=device)

    @torch.no_grad()
    def __call__(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Jitter the boxes of one image.

        Args:
            boxes: (N, 4) float32 xyxy in pixels.
            size: height and width of the image in pixels.

        Returns:
            (16 N, 4): the proposals of the first box, then of the second, and so on.
        """
        return self.jitter(boxes, size, self.draw(len(boxes), boxes.device))

    def jitter(self, boxes: Tensor, size: tuple[int, int], magnitudes: Tensor) -> Tensor:
        """Eq. 10 with given magnitudes (N or 1, 16, 4) in [0, 1]."""
        return self._moved(boxes, np.array([size]), magnitudes)

    def _moved(self, boxes: Tensor, sizes: np.ndarray, magnitudes: Tensor) -> Tensor:
        """The same of boxes of several images, with the size (N or 1, 2) of each box' image."""
        extents = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2).unsqueeze(1)
        offsets = _largest_offsets(boxes.device) * magnitudes * extents
        largest = sizes[:, [1, 0, 1, 0]] - (1 if self.shared else 0)
        limits = sent(largest.astype(np.float32), boxes.device).unsqueeze(1)
        return clipped(boxes.unsqueeze(1) + offsets, limits).flatten(0, 1)


@cache  # a tensor made at each call would be copied to the GPU each time, which the host waits for
def _largest_offsets(device: torch.device) -> Tensor:
    """(16, 4), every pattern of signs, as fractions of the box's width and height."""
    return LARGEST_OFFSET * torch.tensor(list(product((-1.0, 1.0), repeat=4)), device=device)
