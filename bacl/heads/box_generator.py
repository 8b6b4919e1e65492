"""The bounding box generator: 16 jittered boxes around every object (Sec. III-E, Eq. 10)."""

from itertools import product

import torch
from torch import Tensor, nn

LARGEST_OFFSET = 1 / 6
"""Largest offset of an edge, as a fraction of the box's width or height (Eq. 10)."""


class BoxGenerator(nn.Module):
    """Moves the four edges of every box by up to a sixth of its width or height.

    Each box gets one proposal for each of the 16 sign patterns of (x1, y1, x2, y2), so that the
    proposals surround the object evenly. Magnitudes are uniform in [0, 1), from torch's global
    generator.

    Args:
        shared: the published behaviour: one draw of magnitudes per image, shared by its boxes, and
            edges clamped to [0, W - 1] and [0, H - 1]. Otherwise every box has its own magnitudes
            and edges are clamped to [0, W] and [0, H], as everywhere else in the detector.
    """

    proposals_per_box = 16
    signs: Tensor

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        patterns = torch.tensor(list(product((-1.0, 1.0), repeat=4)))
        self.register_buffer("signs", patterns, persistent=False)

    @torch.no_grad()
    def forward(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Jitter the boxes of one image.

        Args:
            boxes: (N, 4) float32 xyxy in pixels.
            size: height and width of the image in pixels.

        Returns:
            (16 N, 4): the proposals of the first box, then of the second, and so on.
        """
        draws = 1 if self.shared else len(boxes)
        magnitudes = torch.rand((draws, self.proposals_per_box, 4), device=boxes.device)
        return self.jitter(boxes, size, magnitudes)

    def jitter(self, boxes: Tensor, size: tuple[int, int], magnitudes: Tensor) -> Tensor:
        """Eq. 10 with given magnitudes (N or 1, 16, 4) in [0, 1]."""
        extents = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2).unsqueeze(1)
        proposals = boxes.unsqueeze(1) + LARGEST_OFFSET * self.signs * magnitudes * extents
        height, width = (side - 1 if self.shared else side for side in size)
        proposals[..., 0::2].clamp_(0, width)
        proposals[..., 1::2].clamp_(0, height)
        return proposals.flatten(0, 1)
