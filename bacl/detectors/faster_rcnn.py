"""Faster R-CNN with a feature pyramid, without the classifier: heads classify its RoI features.

B: images. R: sampled RoIs of the batch. P: proposals of an image. C: foreground classes; label C is
background. D: width of an RoI feature.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.any_detector import FIRST, NOTHING_ELSE, ImageRegions, Regions
from bacl.detectors.backbone import Backbone
from bacl.detectors.box_head import BoxHead
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.fpn import Pyramid
from bacl.detectors.levels import (
    ExtraBoxes,
    ExtraFeatures,
    Level,
    TrainingLevel,
    fixed_level,
    uncut_level,
)
from bacl.detectors.mask_branch import MaskBranch
from bacl.detectors.matching import RoISampler, SampledRoIs
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.region_detector import Pool, RegionDetector
from bacl.detectors.roi_pooling import RoIPooling, with_image_index
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.detectors.transfers import Awaited
from bacl.options.marks import AfterTraining, NamesFile, Trains
from bacl.options.ranges import Classes, FeatureDim, Text, Weights

COUNTED_MASKS = 100
"""Masks of an image whose work is counted, as in MMDetection's counter."""


class FasterRCNN(RegionDetector):
    """Backbone, pyramid, proposals, RoI features and box regression (Faster R-CNN 2015, FPN 2017).

    Parts whose input width another part decides come as factories.

    Args:
        num_classes: C.
        feature_dim: D, width of the RoI features.
        backbone: images to features of strides 4, 8, 16, 32.
        fpn: makes the pyramid from the backbone's channels.
        rpn: makes the proposal network from the pyramid's channels.
        pooling: cuts RoIs out of the pyramid.
        box_head: makes the RoI feature extractor from (channels, RoI side, D).
        box_regression: makes the box regression from (D, C).
        sampler: chooses the RoIs of a training step.
        postprocess: makes the step from scores to detections from `decode`, a function of
            deltas (N, 4) and proposals (N, 4).
        mask: makes the mask branch from (channels, C), for Mask R-CNN; None without masks.
        init_from: see `RegionDetector.init_from`.
        init_names: see `RegionDetector.init_names`.
        each_alone: as of a `RegionDetector`.
    """

    box_head: BoxHead
    box_regression: BoxRegression

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], Pyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
        box_head: Callable[[int, int, int], BoxHead],
        box_regression: Callable[[int, int], BoxRegression],
        sampler: RoISampler,
        postprocess: AfterTraining[Callable[..., Postprocess]],
        mask: Callable[[int, int], MaskBranch] | None = None,
        init_from: Trains[Weights] = None,
        init_names: Trains[NamesFile[Mapping[Text, Text] | None]] = None,
        each_alone: bool = False,
    ) -> None:
        super().__init__(num_classes, feature_dim, backbone, fpn, rpn, pooling, each_alone)
        self.init_from, self.init_names = init_from, dict(init_names or {})
        self.level_weights = {FIRST: 1.0}
        self.box_head = box_head(self.fpn.channels, pooling.side, feature_dim)
        self.box_regression = box_regression(feature_dim, num_classes)
        self.sampler = sampler
        self.postprocess = postprocess(decode=self.box_regression.coder.decode)
        if mask is not None:
            self.mask = mask(self.fpn.channels, num_classes)
            self.mask.pooling.require_strides(self.strides)

    def training_regions(
        self,
        pyramid: Sequence[Tensor],
        targets: Sequence[Target],
        extra: Mapping[Hashable, ExtraBoxes] = NOTHING_ELSE,
    ) -> Regions:
        """See `RegionDetector.training_regions`."""
        awaited = Awaited()
        proposals, rpn_losses = self.rpn.begin(pyramid, targets, awaited)
        rois = self.sampler(proposals.boxes, targets, self.num_classes, None, awaited)
        losses = rpn_losses()
        masks = None if self.mask is None else self.mask.plan(rois, awaited)
        asked = list(extra.values())
        features, extra_features = self._training_features(pyramid, rois, asked, awaited)
        losses["box"] = self.box_regression.loss(features, rois)
        if self.mask is not None:
            losses["mask"] = self.mask.loss(pyramid, rois, targets, masks)
        found = {
            key: ExtraFeatures(rows, asked.labels)
            for (key, asked), rows in zip(extra.items(), extra_features, strict=True)
        }
        cut = partial(self.pooled, pyramid, rois.boxes)
        made_by = cut, self.box_head, self.box_regression, proposals.objectness
        level = TrainingLevel(features, rois.boxes, *made_by, rois, targets, found)
        return Regions([level], losses)

    @torch.no_grad()
    def inference_regions(
        self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """See `RegionDetector.inference_regions`."""
        awaited = Awaited()
        proposals = self.rpn.proposals(pyramid, sizes, awaited)
        counts = [len(boxes) for boxes in proposals.boxes]
        cuts = self.pooling.plan(with_image_index(proposals.boxes), awaited)
        features = self._encoded(self.pooling(pyramid, cuts))
        deltas = self.box_regression(features)
        parts = zip(features.split(counts), deltas.split(counts), strict=True)
        regions = []
        for image, (rows, own) in enumerate(parts):
            boxes = proposals.boxes[image]
            made = boxes, rows, self.box_head, self.box_regression
            level = self.image_level(pyramid, proposals, image, *made)
            regions.append(ImageRegions([level], own))
        return regions

    def fixed_regions(
        self, pool: Pool, proposals: Tensor, limit: Tensor, objectness: Tensor
    ) -> ImageRegions:
        """See `RegionDetector.fixed_regions`."""
        pooled, made_by = pool(proposals), (self.box_head, self.box_regression)
        level = fixed_level(pooled, proposals, *made_by, objectness)
        return ImageRegions([level], self.box_regression(level.features))

    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> list[Level]:
        """See `RegionDetector.run_layers`."""
        for stride in pyramid:
            self.rpn.head(stride)
        side = self.pooling.side
        pooled = pyramid[0].new_empty(num_rois, self.fpn.channels, side, side)
        level = uncut_level(pooled, self.box_head, self.box_regression)
        self.box_regression(level.features)
        if self.mask is not None:
            self.mask.run_layers(pyramid, COUNTED_MASKS)
        return [level]

    def roi_features(self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Features (·, D) of boxes (·, 4) given per image, images in order."""
        return self.box_head(self.pooled(pyramid, boxes))

    def _training_features(
        self,
        pyramid: Sequence[Tensor],
        rois: SampledRoIs,
        extra: Sequence[ExtraBoxes],
        awaited: Awaited,
    ) -> tuple[Tensor, list[Tensor]]:
        """Features of the sampled RoIs, and of each kind of extra boxes."""
        parts = [with_image_index(rois.boxes, rois.all_boxes)]
        parts += [with_image_index(asked.boxes, asked.joined) for asked in extra]
        if self._features_need_gradient(pyramid):
            plans = [self.pooling.plan(part, awaited) for part in parts]
            with torch.no_grad():
                others = [self._encoded(self.pooling(pyramid, asked)) for asked in plans[1:]]
            return self._encoded(self.pooling(pyramid, plans[0])), others
        # Nothing to differentiate: all are pooled at once. Each is encoded by itself, because a
        # matrix product rounds by its number of rows, and the RoI features must not depend on
        # whether some head wants extra boxes.
        cuts = self.pooling.plan(torch.cat(parts), awaited)
        pooled = self.pooling(pyramid, cuts).split([len(part) for part in parts])
        features, *others = [self._encoded(part) for part in pooled]
        return features, others

    def _encoded(self, pooled: Tensor) -> Tensor:
        features: Tensor = self.cast.call(self.box_head, pooled)
        return features

    def _features_need_gradient(self, pyramid: Sequence[Tensor]) -> bool:
        tensors = [*pyramid, *self.box_head.parameters()]
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
