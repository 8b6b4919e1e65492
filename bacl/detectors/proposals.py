"""From dense objectness and deltas to the proposals of an image.

B: images. L: pyramid levels. N_l: anchors of level l.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from bacl.data.batch import Target
from bacl.detectors.boxes import BoxCoder, clipped, large_enough, limits
from bacl.detectors.class_suppression import greatest_tolerated
from bacl.detectors.level_suppression import side_by_side, survivors_of_groups
from bacl.detectors.transfers import Awaited, sent
from bacl.options.ranges import Count, NotNegative, PositiveShare

ALONE_ON = ("cpu",)
"""Devices on which each level of each image is suppressed by itself."""
MANY = 30
"""Levels of all images from which on they are suppressed at once, in about as many operators."""
DIVERGED = (
    "proposals are not finite: images or weights hold NaN or infinity; where training diverged, "
    "lower the learning rate"
)


@dataclass(slots=True)
class Proposals:
    """The proposals of a batch, best first within an image."""

    boxes: Sequence[Tensor]
    """(P, 4) per image, in pixels of the network's input."""
    logits: Sequence[Tensor]
    """(P,) per image, their objectness before the sigmoid."""

    def objectness(self) -> list[Tensor]:
        """(P,) float32 in [0, 1] per image."""
        return [logits.sigmoid() for logits in self.logits]


class ProposalSelection:
    """The best anchors of each level, suppressed within the level; then the best over all levels.

    Args:
        per_level: anchors of a level that are decoded, best first.
        total: proposals of an image.
        nms_iou: a proposal is dropped above this IoU with a better one of its level.
        min_side: pixels; a proposal with a shorter side is none, and suppresses none.
    """

    def __init__(
        self,
        per_level: Count,
        total: Count,
        nms_iou: PositiveShare,
        min_side: NotNegative = 0.0,
    ) -> None:
        self.per_level = per_level
        self.total = total
        self.nms_iou = nms_iou
        self.min_side = min_side

    @torch.no_grad()
    def __call__(
        self,
        anchors: Tensor,
        objectness: Sequence[Tensor],
        deltas: Sequence[Tensor],
        coder: BoxCoder,
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None = None,
        awaited: Awaited | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes (P, 4) and objectness logits (P,) per image, best first, clipped to `sizes`.

        Args:
            anchors: (N, 4), of all levels.
            objectness: logits (B, N_l) per level.
            deltas: (B, N_l, 4) per level.
            coder: decodes the deltas.
            sizes: (height, width) of each image inside its padding.
            targets: one per image, in training.
            awaited: whose next fetch finds out whether a proposal is not finite; found out at once
                by default.

        Raises:
            FloatingPointError: a proposal is not finite, as when training diverged.
        """
        found = [level.topk(min(self.per_level, level.shape[1]), dim=1) for level in objectness]
        scores = torch.cat([best.values for best in found], dim=1).float()
        counts = [best.values.shape[1] for best in found]
        starts = accumulate((level.shape[1] for level in objectness[:-1]), initial=0)
        index = torch.cat([best.indices for best in found], dim=1)
        index = index + sent(np.repeat(list(starts), counts), index.device)
        chosen = torch.cat(list(deltas), dim=1).gather(1, index.unsqueeze(2).expand(-1, -1, 4))
        boxes = coder.decode(chosen.flatten(0, 1), anchors[index.flatten()])
        checks = Awaited() if awaited is None else awaited
        for values in (boxes, scores):
            checks.check_finite(values, DIVERGED)
        if awaited is None:
            checks.fetch()
        boxes = clipped(boxes.unflatten(0, scores.shape), limits(sizes, boxes.device).unsqueeze(1))
        return self._suppressed(boxes, scores, counts, targets)

    def kept(self, boxes: Tensor, scores: Tensor, target: Target | None) -> Tensor:
        """Rows, int64 in any order, that a level's suppression leaves of an image.

        Args:
            boxes: (P, 4) of the level.
            scores: (P,).
            target: of the image, in training.
        """
        return nms(boxes, scores, self.nms_iou)

    def together(self, boxes: Tensor, levels: int) -> bool:
        """Whether `levels` of images (B, K, 4) are suppressed at once, in place of `kept`.

        On a CPU that would cost more than it saves, and so it would for a few images.
        """
        many = len(boxes) * levels >= MANY and boxes.shape[1] > 0
        return many and boxes.device.type not in ALONE_ON

    def _kept_of_size(self, boxes: Tensor, scores: Tensor, target: Target | None) -> Tensor:
        if self.min_side == 0:
            return self.kept(boxes, scores, target)
        large = large_enough(boxes, self.min_side).nonzero().squeeze(1)
        return large[self.kept(boxes[large], scores[large], target)]

    def _suppressed(
        self,
        boxes: Tensor,
        scores: Tensor,
        counts: Sequence[int],
        targets: Sequence[Target] | None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes and scores per image: the best of what each level's suppression leaves.

        Args:
            boxes: (B, K, 4).
            scores: (B, K).
            counts: how many of the K each level has.
            targets: in training.
        """
        if self.together(boxes, len(counts)):
            rows, left = self._left_of_all(boxes, counts)
        else:
            rows, left = self._left_one_by_one(boxes, scores, counts, targets)
        parts = scores.flatten()[rows].split(left.tolist())
        best = [part.topk(min(self.total, len(part))) for part in parts]
        rows = rows[_joined([part.indices for part in best], left.cumsum() - left)]
        chosen = boxes.flatten(0, 1)[rows].split([len(part.values) for part in best])
        return [(own, part.values) for own, part in zip(chosen, best, strict=True)]

    def _left_one_by_one(
        self,
        boxes: Tensor,
        scores: Tensor,
        counts: Sequence[int],
        targets: Sequence[Target] | None,
    ) -> tuple[Tensor, np.ndarray]:
        """Rows (·,) in [0, B K) that suppression leaves, images in order, and each one's number."""
        given = [None] * len(boxes) if targets is None else targets
        kept = [
            self._kept_of_size(level, ranks, target)
            for image, target in enumerate(given)
            for level, ranks in zip(
                boxes[image].split(counts), scores[image].split(counts), strict=True
            )
        ]
        places = np.tile(counts, len(boxes))
        left = np.reshape([len(own) for own in kept], (len(boxes), -1)).sum(axis=1)
        return _joined(kept, places.cumsum() - places), left

    def _left_of_all(self, boxes: Tensor, counts: Sequence[int]) -> tuple[Tensor, np.ndarray]:
        """The same in the same order: best first, as a level's boxes are given."""
        places, back = side_by_side(counts)
        there = sent(places, boxes.device)
        groups = boxes[:, there].flatten(0, 1)
        usable = (there >= 0).repeat(len(boxes), 1)
        if self.min_side > 0:
            usable &= large_enough(groups, self.min_side)
        kept = survivors_of_groups(groups, usable, greatest_tolerated(self.nms_iou))
        counted = kept.view(len(boxes), -1)[:, sent(back, boxes.device)].flatten().cumsum(0)
        ends = Awaited().later(counted[boxes.shape[1] - 1 :: boxes.shape[1]])()
        numbers = torch.arange(1, ends[-1] + 1, device=boxes.device)
        return torch.searchsorted(counted, numbers), np.diff(ends, prepend=0)


def _joined(parts: Sequence[Tensor], starts: np.ndarray) -> Tensor:
    """Indices (·,) into what lies one after the other, of indices into parts at `starts`."""
    before = np.repeat(starts, [len(part) for part in parts])
    return torch.cat(list(parts)) + sent(before, parts[0].device)
