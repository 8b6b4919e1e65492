"""The mask branch of Mask R-CNN: from a pyramid and boxes to masks, and how it learns them.

It knows nothing of where its boxes come from, so any detector with a pyramid can have one.
P: positive RoIs of the batch. K: detections of an image. C: foreground classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.data.batch import Detections, RunLengths, Target
from bacl.detectors.cast_weights import CastWeights, call_with
from bacl.detectors.mask_head import MaskHead
from bacl.detectors.mask_paste import run_lengths
from bacl.detectors.mask_targets import mask_targets, positive_rois
from bacl.detectors.matching import SampledRoIs
from bacl.detectors.roi_pooling import Cuts, RoIPooling, with_image_index
from bacl.detectors.transfers import Awaited
from bacl.options.ranges import Share

ROIS_AT_ONCE = 256
"""RoIs that go through the head together at inference: 206 MB for its last 256 channels."""


class MaskBranch(nn.Module):
    """Pooled RoIs, the mask head, the loss of its masks, and their place in the picture.

    Args:
        channels: of the pyramid.
        num_classes: C.
        pooling: cuts RoIs out of the pyramid; masks have twice its side.
        head: makes the head from (channels, C).
        threshold: a pixel belongs to a detection's mask from this probability on.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        pooling: RoIPooling,
        head: Callable[[int, int], MaskHead],
        threshold: Share,
    ) -> None:
        super().__init__()
        self.cast = CastWeights()
        self.pooling = pooling
        self.head = head(channels, num_classes)
        self.threshold = threshold

    def plan(self, rois: SampledRoIs, awaited: Awaited) -> Cuts:
        """What is cut out for the loss; `awaited` fetches numbers that this needs."""
        boxes, _, _ = positive_rois(rois)
        return self.pooling.plan(with_image_index(boxes), awaited)

    def loss(
        self,
        pyramid: Sequence[Tensor],
        rois: SampledRoIs,
        targets: Sequence[Target],
        cuts: Cuts | None = None,
    ) -> Tensor:
        """Mean binary cross-entropy over all pixels of the P masks of the RoIs' own classes.

        Zero, with a graph, where no RoI is positive. A frozen pyramid gets no gradient, and none
        is computed for it. `cuts` are what `plan` gave for the RoIs, if it was called before.

        Raises:
            OptionError: a target has no masks.
        """
        boxes, objects, labels = positive_rois(rois)
        truth = mask_targets(boxes, objects, targets, 2 * self.pooling.side)
        pooled = self.pooling(pyramid, cuts or self.plan(rois, Awaited()))
        logits = self.cast.call(self.head, pooled, labels)
        total = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum")
        return total / max(logits.numel(), 1)

    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> None:
        """The branch's layers for RoIs that are cut out of nothing, to count their work."""
        level, side = pyramid[0], self.pooling.side
        labels = torch.zeros(num_rois, dtype=torch.int64, device=level.device)
        self.head(level.new_empty(num_rois, level.shape[1], side, side), labels)

    @torch.no_grad()
    def probabilities(
        self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor], labels: Tensor
    ) -> Tensor:
        """Mask probabilities (·, 2s, 2s) float32 of boxes given per image, images in order.

        Args:
            pyramid: of the batch.
            boxes: (·, 4) per image, in pixels of the network's input.
            labels: of all boxes, the class whose mask is wanted.
        """
        rois, own = with_image_index(boxes).split(ROIS_AT_ONCE), labels.split(ROIS_AT_ONCE)
        weights = self.cast.of(self.head)
        logits = [
            call_with(self.head, weights, self.pooling(pyramid, part), classes)
            for part, classes in zip(rois, own, strict=True)
        ]
        return torch.cat(logits).sigmoid()

    def segment(
        self,
        pyramid: Sequence[Tensor],
        detections: Sequence[Detections],
        targets: Sequence[Target],
    ) -> list[Detections]:
        """The same detections with masks in the size of the original pictures.

        Args:
            pyramid: of the batch.
            detections: one per image, in pixels of the network's input.
            targets: one per image; their sizes alone are read.
        """
        labels = torch.cat([found.labels for found in detections])
        masks = self.probabilities(pyramid, [found.boxes for found in detections], labels)
        each = masks.split([len(found.labels) for found in detections])
        return [
            replace(found, masks=self._placed(found, target, own))
            for found, target, own in zip(detections, targets, each, strict=True)
        ]

    def _placed(self, found: Detections, target: Target, masks: Tensor) -> list[RunLengths]:
        boxes = target.to_original(found.boxes)
        return run_lengths(masks, boxes, target.original_size, self.threshold)
