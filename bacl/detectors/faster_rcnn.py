"""Faster R-CNN with a feature pyramid, without the classifier: heads classify its RoI features.

B: images. R: sampled RoIs of the batch. P: proposals of an image. M: extra boxes of the batch.
C: foreground classes; label C is background. D: width of an RoI feature.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.backbone import Backbone
from bacl.detectors.box_head import BoxHead
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.mask_branch import MaskBranch
from bacl.detectors.matching import RoISampler, SampledRoIs
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.region_detector import ImageRegions, RegionDetector, Regions
from bacl.detectors.roi_pooling import RoIPooling, with_image_index
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.heads import ClassifierHead
from bacl.options.ranges import Classes, Width

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
    """

    box_head: BoxHead
    box_regression: BoxRegression

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: Width,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], FeaturePyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
        box_head: Callable[[int, int, int], BoxHead],
        box_regression: Callable[[int, int], BoxRegression],
        sampler: RoISampler,
        postprocess: Callable[..., Postprocess],
        mask: Callable[[int, int], MaskBranch] | None = None,
    ) -> None:
        super().__init__(num_classes, feature_dim, backbone, fpn, rpn, pooling)
        self.box_head = box_head(self.fpn.channels, pooling.side, feature_dim)
        self.box_regression = box_regression(feature_dim, num_classes)
        self.sampler = sampler
        self.postprocess = postprocess(decode=self.box_regression.coder.decode)
        self.mask = None if mask is None else mask(self.fpn.channels, num_classes)

    def build_head(self, make: Callable[[int], ClassifierHead]) -> ClassifierHead:
        """One classifier."""
        return make(0)

    def training_regions(
        self,
        pyramid: Sequence[Tensor],
        targets: Sequence[Target],
        extra_boxes: Sequence[Tensor] | None = None,
    ) -> Regions:
        """See `RegionDetector.training_regions`."""
        proposals, rpn_losses = self.rpn(pyramid, targets)
        rois = self.sampler(proposals, targets, self.num_classes)
        features, extra = self._training_features(pyramid, rois, extra_boxes)
        losses = rpn_losses | {"box": self.box_regression.loss(features, rois)}
        if self.mask is not None:
            losses["mask"] = self.mask.loss(pyramid, rois, targets)
        return Regions(features, rois.labels, losses, extra)

    @torch.no_grad()
    def inference_regions(
        self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """See `RegionDetector.inference_regions`."""
        proposals = self.rpn.proposals(pyramid, sizes)
        counts = [len(boxes) for boxes in proposals]
        features = self.roi_features(pyramid, proposals)
        deltas = self.box_regression(features)
        parts = zip(proposals, features.split(counts), deltas.split(counts), strict=True)
        return [ImageRegions(*part) for part in parts]

    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> Tensor:
        """See `RegionDetector.run_layers`."""
        for level in pyramid:
            self.rpn.head(level)
        side = self.pooling.side
        features = self.box_head(pyramid[0].new_empty(num_rois, self.fpn.channels, side, side))
        self.box_regression(features)
        if self.mask is not None:
            self.mask.run_layers(pyramid, COUNTED_MASKS)
        return features

    def roi_features(self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Features (·, D) of boxes (·, 4) given per image, images in order."""
        return self._encode(pyramid, with_image_index(boxes))

    def _encode(self, pyramid: Sequence[Tensor], rois: Tensor) -> Tensor:
        return self.box_head(self.pooling(pyramid, rois))

    def _training_features(
        self, pyramid: Sequence[Tensor], rois: SampledRoIs, extra_boxes: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        if extra_boxes is None:
            return self.roi_features(pyramid, rois.boxes), None
        if self._features_need_gradient(pyramid):
            with torch.no_grad():
                extra = self.roi_features(pyramid, extra_boxes)
            return self.roi_features(pyramid, rois.boxes), extra
        # Nothing to differentiate: both are pooled at once. Each is encoded by itself, because a
        # matrix product rounds by its number of rows, and the RoI features must not depend on
        # whether some head wants extra boxes.
        parts = [with_image_index(rois.boxes), with_image_index(extra_boxes)]
        pooled = self.pooling(pyramid, torch.cat(parts)).split([len(part) for part in parts])
        return self.box_head(pooled[0]), self.box_head(pooled[1])

    def _features_need_gradient(self, pyramid: Sequence[Tensor]) -> bool:
        tensors = [*pyramid, *self.box_head.parameters()]
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
