"""From dense objectness and deltas to the proposals of an image.

B: images. L: pyramid levels. N_l: anchors of level l.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

from bacl.data.batch import Target
from bacl.detectors.boxes import BoxCoder, clip_boxes
from bacl.options.ranges import Count, PositiveShare


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
    """

    def __init__(self, per_level: Count, total: Count, nms_iou: PositiveShare) -> None:
        self.per_level = per_level
        self.total = total
        self.nms_iou = nms_iou

    @torch.no_grad()
    def __call__(
        self,
        anchors: Sequence[Tensor],
        objectness: Sequence[Tensor],
        deltas: Sequence[Tensor],
        coder: BoxCoder,
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes (P, 4) and objectness logits (P,) per image, best first, clipped to `sizes`.

        Args:
            anchors: (N_l, 4) per level.
            objectness: logits (B, N_l) per level.
            deltas: (B, N_l, 4) per level.
            coder: decodes the deltas.
            sizes: (height, width) of each image inside its padding.
            targets: one per image, in training.

        Raises:
            FloatingPointError: a proposal is not finite, as when training diverged.
        """
        levels = [
            self._best(*level, coder) for level in zip(anchors, objectness, deltas, strict=True)
        ]
        if not torch.stack([x.isfinite().all() for level in levels for x in level]).all():
            raise FloatingPointError(
                "proposals are not finite: images or weights hold NaN or infinity; where training "
                "diverged, lower the learning rate"
            )
        given = [None] * len(sizes) if targets is None else targets
        return [
            self._suppress([(boxes[image], scores[image]) for boxes, scores in levels], *own)
            for image, own in enumerate(zip(sizes, given, strict=True))
        ]

    def kept(self, boxes: Tensor, scores: Tensor, target: Target | None) -> Tensor:
        """Rows, int64 in any order, that a level's suppression leaves of an image.

        Args:
            boxes: (P, 4) of the level.
            scores: (P,).
            target: of the image, in training.
        """
        return nms(boxes, scores, self.nms_iou)

    def _best(
        self, anchors: Tensor, objectness: Tensor, deltas: Tensor, coder: BoxCoder
    ) -> tuple[Tensor, Tensor]:
        """Decoded boxes (B, K, 4) and logits (B, K) of a level's best anchors, best first."""
        scores, index = objectness.float().topk(min(self.per_level, objectness.shape[1]), dim=1)
        chosen = deltas.gather(1, index.unsqueeze(2).expand(-1, -1, 4))
        boxes = coder.decode(chosen.flatten(0, 1), anchors[index].flatten(0, 1))
        return boxes.unflatten(0, index.shape), scores

    def _suppress(
        self,
        levels: Sequence[tuple[Tensor, Tensor]],
        size: tuple[int, int],
        target: Target | None,
    ) -> tuple[Tensor, Tensor]:
        kept = []
        for boxes, scores in levels:
            clipped = clip_boxes(boxes, size)
            keep = self.kept(clipped, scores, target)
            kept.append((clipped[keep], scores[keep]))
        boxes, scores = (torch.cat(parts) for parts in zip(*kept, strict=True))
        scores, best = scores.topk(min(self.total, len(scores)))
        return boxes[best], scores
