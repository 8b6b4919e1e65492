"""Which detections to take in use: by thresholds of scores, and one category for an object.

K: detections of an image. C: categories.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import nms

from bacl.data.batch import Detections

NEAREST = 1e-6
"""To 0 and 1, of the scores and thresholds whose odds are compared."""


@dataclass(frozen=True)
class Acceptance:
    """Takes detections from their category's threshold on, and of overlapping ones the best.

    Which of two categories has an object is not decided by scores alone: with a threshold for each
    category, a score of 0.2 may be much for one category and nothing for the other. Compared are
    the odds of the scores over the odds of the thresholds: 1 at its threshold for every category,
    and, unlike scores over thresholds, as far to go for a high threshold as for a low one. With one
    threshold for all this is the order of the scores.
    """

    thresholds: Tensor
    """(C,) float32 in [0, 1]."""
    one_label_iou: float | None = None
    """Detections of any categories suppress each other above this IoU; None: only those of one
    category did, before."""

    def rows(self, found: Detections) -> Tensor:
        """(n,) int64 in [0, K), ascending: which are taken."""
        limits = self.thresholds.to(found.scores.device)[found.labels]
        rows = (found.scores >= limits).nonzero().squeeze(1)
        if self.one_label_iou is None:
            return rows
        order = excess(found.scores[rows], limits[rows]).argsort(descending=True, stable=True)
        boxes = found.boxes[rows[order]]
        ranks = torch.arange(len(order), 0, -1, device=boxes.device).to(boxes.dtype)
        return rows[order[nms(boxes, ranks, self.one_label_iou)]].sort().values

    def __call__(self, found: Detections) -> Detections:
        """What is taken, in the order in which it was found."""
        rows = self.rows(found)
        masks = None if found.masks is None else [found.masks[row] for row in rows.tolist()]
        return replace(
            found,
            boxes=found.boxes[rows],
            scores=found.scores[rows],
            labels=found.labels[rows],
            masks=masks,
        )


def excess(scores: Tensor, thresholds: Tensor) -> Tensor:
    """(K,) float32: logarithm of the odds of scores over those of thresholds, (K,) each."""
    return scores.logit(NEAREST) - thresholds.logit(NEAREST)
