"""Candidates for detections of several images, side by side.

B: images. n: candidates of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors.transfers import Awaited, sent


@dataclass(slots=True)
class Candidates:
    """Boxes that a class is proposed for, one image after the other, each image's best first."""

    boxes: Tensor
    """(n, 4) float32 xyxy."""
    scores: Tensor
    """(n,) float32."""
    labels: Tensor
    """(n,) int64 in [0, C)."""
    counts: list[int]
    """(B,) how many are of each image."""

    @classmethod
    def of(cls, images: Sequence[Detections]) -> "Candidates":
        """What was found in each image."""
        return cls(
            boxes=torch.cat([image.boxes for image in images]),
            scores=torch.cat([image.scores for image in images]),
            labels=torch.cat([image.labels for image in images]),
            counts=[len(image.labels) for image in images],
        )

    @property
    def images(self) -> Tensor:
        """(n,) int64 in [0, B)."""
        return sent(np.repeat(np.arange(len(self.counts)), self.counts), self.labels.device)

    def groups(self, num_classes: int) -> Tensor:
        """(n,) int64, the same for candidates of one class in one image."""
        return self.images * num_classes + self.labels

    def where(self, mask: Tensor) -> "Candidates":
        """Those of `mask` (n,) bool; the host waits for how many they are."""
        counted = mask.cumsum(0)
        ends = sent(np.cumsum(self.counts), mask.device)
        below = Awaited().later(torch.cat((counted.new_zeros(1), counted))[ends])()
        numbers = torch.arange(1, below[-1] + 1, device=mask.device)
        rows = torch.searchsorted(counted, numbers)
        counts = np.diff(below, prepend=0).tolist()
        return Candidates(self.boxes[rows], self.scores[rows], self.labels[rows], counts)

    def split(self) -> list[Detections]:
        """What is left of each image."""
        parts = (x.split(self.counts) for x in (self.boxes, self.scores, self.labels))
        return [Detections(*image) for image in zip(*parts, strict=True)]
