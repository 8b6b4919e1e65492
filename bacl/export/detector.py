"""The detector as one function of a batch of pictures, without data-dependent shapes.

B: images. H, W: height and width of the input. P: proposals of an image. D: detections of an image.
"""

import copy
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bacl.data.batch import STRIDE
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD
from bacl.detectors.acceptance import Acceptance
from bacl.detectors.region_detector import RegionDetector
from bacl.export.fixed_detections import FixedDetections
from bacl.export.fixed_pooling import fixed_pooling
from bacl.export.fixed_proposals import fixed_proposals
from bacl.export.suppression import Survivors, survivors
from bacl.heads import Head


class ExportableDetector(nn.Module):
    """Backbone, proposals, one classifier head and suppression, wired for a tracer.

    It gives the detections of the parts it is made of. What the training code does with as many
    rows as there are, this does with a fixed number of rows of which some are empty. The
    `candidates` best (proposal, class) pairs enter the suppression, not as many as it takes to find
    all detections: where fewer than `max_detections` of them survive and there are more above the
    score threshold, detections that rank behind them all are missing.

    Equal scores may come in another order, and at the end of the list make others of them stay.

    Args:
        detector: any.
        head: classifies its RoI features.
        candidates: (proposal, class) pairs at most.
        suppress: how boxes of a group suppress each other.
        accept: which of the detections are given; None gives all.

    Raises:
        OptionError: too few candidates.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        detector: RegionDetector,
        head: Head,
        candidates: int = 5000,
        suppress: Survivors = survivors,
        accept: Acceptance | None = None,
    ) -> None:
        super().__init__()
        self.select = FixedDetections(
            detector.postprocess, detector.num_classes, candidates, suppress, accept
        )
        self.detector = copy.deepcopy(detector)
        self.detector.backbone.fold_norms()
        self.detector.backbone.make_traceable()
        self.head = head
        self.suppress = suppress
        self.register_buffer("mean", IMAGENET_MEAN.view(3, 1, 1), persistent=False)
        self.register_buffer("scale", (1 / IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Detections, best first.

        Args:
            images: (B, 3, H, W) uint8 RGB; each picture in the upper left corner, anything beside
                it. Any H and W: the padding to multiples of 32 is made here.
            sizes: (B, 2) int64, height and width of each picture.

        Returns:
            Boxes (B, D, 4) float32 xyxy in pixels of `images`, scores (B, D) float32 and labels
            (B, D) int64. D is fixed: rows behind the last detection have score 0 and label -1. Of
            a detector with masks also their probabilities (B, D, 2 s, 2 s) float32 within boxes.
        """
        pyramid = self.detector.pyramid(self._normalised(images, sizes))
        limits = sizes.flip(1).repeat(1, 2).float()
        proposals, logits = fixed_proposals(self.detector.rpn, pyramid, limits, self.suppress)
        count = proposals.shape[1]
        pool = partial(fixed_pooling, self.detector.pooling, pyramid, images=_owners(proposals))
        valid = logits > -torch.inf
        objectness = torch.where(valid, logits.sigmoid(), 0.0).flatten()
        cuts = limits.unsqueeze(1).expand_as(proposals).flatten(0, 1)
        regions = self.detector.fixed_regions(pool, proposals.flatten(0, 1), cuts, objectness)
        scores = self.head.scores(regions.levels)[:, :-1].float().unflatten(0, (-1, count))
        scores = torch.where(valid.unsqueeze(2), scores, 0.0)
        rows = (x.unflatten(0, (-1, count)) for x in (regions.proposals, regions.deltas))
        refined, deltas = rows
        found = self.select(refined, scores, deltas, limits)
        return tuple(chain(found, self._masks(pyramid, *found)))

    def _normalised(self, images: Tensor, sizes: Tensor) -> Tensor:
        """(B, 3, ·, ·) with zeros beside the pictures, as the training code gives them."""
        height, width = images.shape[2:]
        rows = torch.arange(height, device=images.device) < sizes[:, :1]
        columns = torch.arange(width, device=images.device) < sizes[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        pixels = torch.where(inside, (images.float() - self.mean) * self.scale, 0.0)
        # As multiples: with a remainder in every size a tracer takes minutes for some backbones.
        high, wide = ((side + STRIDE - 1) // STRIDE * STRIDE for side in (height, width))
        return pad(pixels, (0, wide - width, 0, high - height))

    def _masks(
        self, pyramid: tuple[Tensor, ...], boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> list[Tensor]:
        """[(B, D, 2 s, 2 s)] of a detector with masks, zero in empty rows; [] of another."""
        branch = self.detector.mask
        if branch is None:
            return []
        rois, known = boxes.flatten(0, 1), labels.flatten().clamp(min=0)
        pooled = fixed_pooling(branch.pooling, pyramid, rois, _owners(boxes))
        masks = branch.head(pooled, known).sigmoid().unflatten(0, (-1, boxes.shape[1]))
        return [torch.where((labels >= 0)[:, :, None, None], masks, 0.0)]


def _owners(boxes: Tensor) -> Tensor:
    """(B n,) int64: the image of each of boxes (B, n, 4)."""
    images = torch.arange(boxes.shape[0], device=boxes.device)
    return images.unsqueeze(1).expand(-1, boxes.shape[1]).flatten()
