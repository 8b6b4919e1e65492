"""From scores and deltas to a number of detections that depends on nothing.

B: images. P: proposals of an image. C: foreground classes. K: candidates, (proposal, class) pairs.
D: rows of detections of an image.
"""

import torch
from torch import Tensor, nn

from bacl.detectors.acceptance import Acceptance, excess
from bacl.detectors.boxes import clipped, large_enough
from bacl.detectors.postprocess import Postprocess
from bacl.export.one_label import first_kept, of_one_label, rows_of
from bacl.export.suppression import Survivors
from bacl.messages.errors import OptionError


class FixedDetections(nn.Module):
    """What `Postprocess` and `Acceptance` select, of the best `candidates` pairs.

    Args:
        rule: of the detector.
        num_classes: C.
        candidates: K at most.
        suppress: how boxes of a class suppress each other.
        accept: which of the detections are given; None gives all.

    Raises:
        OptionError: fewer candidates than there may be detections.
    """

    thresholds: Tensor

    def __init__(
        self,
        rule: Postprocess,
        num_classes: int,
        candidates: int,
        suppress: Survivors,
        accept: Acceptance | None,
    ) -> None:
        super().__init__()
        if candidates < rule.max_detections:
            raise OptionError(
                f"candidates={candidates}: there may be as many detections as {rule.max_detections}"
            )
        self.rule = rule
        self.candidates = candidates
        self.suppress = suppress
        self.one_label_iou = None if accept is None else accept.one_label_iou
        limits = torch.zeros(num_classes) if accept is None else accept.thresholds
        self.register_buffer("thresholds", limits, persistent=False)

    def forward(
        self, proposals: Tensor, scores: Tensor, deltas: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, D, 4), scores (B, D) and labels (B, D), best first.

        Args:
            proposals: (B, P, 4).
            scores: (B, P, C).
            deltas: (B, P, 4 C) per class, or (B, P, 4) shared by all.
            limits: (B, 4), width, height, width, height of each picture.
        """
        classes = scores.shape[2]
        count = min(self.candidates, scores.shape[1] * classes)
        best, index = scores.flatten(1).topk(count, dim=1)
        proposal, label = index // classes, index % classes
        row = proposal if deltas.shape[2] == 4 else index
        chosen = (
            rows_of(deltas.unflatten(2, (-1, 4)).flatten(1, 2), row),
            rows_of(proposals, proposal),
        )
        decoded = self.rule.decode(*(rows.flatten(0, 1) for rows in chosen))
        boxes = clipped(decoded.unflatten(0, (-1, count)), limits.unsqueeze(1))
        kept = self.suppress(boxes, label, classes, self.rule.tolerated_iou)
        kept = kept & (best > self.rule.score_threshold)
        if self.rule.min_side > 0:
            kept = kept & large_enough(boxes, self.rule.min_side)
        # Already sorted: the survivors' order is that of their positions.
        index, filled = first_kept(kept, min(self.rule.max_detections, count))
        boxes, best, label = rows_of(boxes, index), best.gather(1, index), label.gather(1, index)
        return self._accepted(boxes, best, label, filled)

    def _accepted(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, filled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The rows that are taken, before rows that are empty."""
        limits = self.thresholds[labels]
        filled = filled & (scores >= limits)
        if self.one_label_iou is not None:
            # What is not taken comes last, where it suppresses nothing that is.
            odds = torch.where(filled, excess(scores, limits), -torch.inf)
            filled = filled & of_one_label(boxes, odds, self.one_label_iou, self.suppress)
        index, filled = first_kept(filled, filled.shape[1])
        return (
            rows_of(boxes, index) * filled.unsqueeze(2),
            scores.gather(1, index) * filled,
            torch.where(filled, labels.gather(1, index), -1),
        )
