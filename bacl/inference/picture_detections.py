"""What a model finds in a picture, with the categories' names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from bacl.data.batch import Detections, RunLengths
from bacl.messages.errors import require


class Category(NamedTuple):
    """A category of the training file; its label is its place in `Model.categories`."""

    id: int
    """The file's."""
    name: str


@dataclass(frozen=True, eq=False, repr=False)
class PictureDetections:
    """Detections of one picture, best first; tensors are on the CPU.

    K: detections. C: categories. H, W: height and width of the picture, upright.
    """

    boxes: Tensor
    """(K, 4) float32 xyxy, in pixels of the picture."""
    scores: Tensor
    """(K,) float32 in [0, 1], descending."""
    labels: Tensor
    """(K,) int64 in [0, C)."""
    category_ids: Tensor
    """(K,) int64, as in the training file."""
    names: list[str]
    """K names of categories."""
    size: tuple[int, int]
    """H and W."""
    run_lengths: list[RunLengths] | None
    """K compressed COCO masks of H x W pixels; None where the model has no mask branch."""

    @classmethod
    def of(
        cls, found: Detections, categories: Sequence[Category], size: tuple[int, int]
    ) -> "PictureDetections":
        """A detector's detections in pixels of the picture, with their categories."""
        found = found.to("cpu")
        own = [categories[label] for label in found.labels.tolist()]
        ids = torch.tensor([each.id for each in own], dtype=torch.int64)
        names = [each.name for each in own]
        return cls(found.boxes, found.scores, found.labels, ids, names, size, found.masks)

    @cached_property
    def masks(self) -> Tensor | None:
        """(K, H, W) bool, decoded when first asked for; None where the model has no mask branch."""
        if self.run_lengths is None:
            return None
        if not self.run_lengths:
            return torch.zeros(0, *self.size, dtype=torch.bool)
        decoded = coco_mask.decode(self.run_lengths).transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(decoded)).bool()

    def above(self, threshold: float) -> Self:
        """The detections with at least this score.

        Raises:
            OptionError: a threshold outside [0, 1].
        """
        require("threshold", threshold, 0, 1)
        kept = int((self.scores >= threshold).sum())  # scores descend
        return replace(
            self,
            boxes=self.boxes[:kept],
            scores=self.scores[:kept],
            labels=self.labels[:kept],
            category_ids=self.category_ids[:kept],
            names=self.names[:kept],
            run_lengths=None if self.run_lengths is None else self.run_lengths[:kept],
        )

    def __len__(self) -> int:
        """K."""
        return len(self.scores)

    def __repr__(self) -> str:
        best = zip(self.names[:3], self.scores.tolist(), strict=False)
        told = [f"{name} {score:.2f}" for name, score in best] + ["…"] * (len(self) > 3)
        return f"<{len(self)} detections{': ' if told else ''}{', '.join(told)}>"
