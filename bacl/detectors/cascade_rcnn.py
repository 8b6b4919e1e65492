"""Cascade R-CNN (Cai and Vasconcelos, CVPR 2018) without the classifiers.

Each stage refines the boxes of the stage before and is trained at a higher overlap. One box
regression serves all classes, so no box, no RoI and no feature depends on a classifier: heads are
trained side by side on a cascade exactly as alone, as on a Faster R-CNN.

B: images. R: sampled RoIs of a stage. P: proposals of an image. C: foreground classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bacl.cascade_head import CascadeHead
from bacl.data.batch import Target
from bacl.detectors.backbone import Backbone
from bacl.detectors.box_head import BoxHead
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.matching import RoISampler, SampledRoIs
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.region_detector import ImageRegions, RegionDetector, Regions
from bacl.detectors.roi_pooling import RoIPooling, with_image_index
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.errors import require
from bacl.heads import ClassifierHead
from bacl.options.ranges import Classes, NotNegative, PositiveShare, Stds, Width

FIRST = "first"
"""Name of the first stage, which is that of a Faster R-CNN."""


@dataclass(frozen=True, kw_only=True)
class CascadeStage:
    """What sets a later stage apart from the first one."""

    iou: PositiveShare
    """Overlap with an object from which on an RoI is a positive example, and no negative one."""
    stds: Stds
    """Of the box coder: the closer the boxes, the smaller the deltas that are left."""
    loss_weight: NotNegative
    """Of classification and box loss; the first stage's is 1."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense (`OptionError`); the box coder checks its own."""
        require("detector.later_stages.….iou", self.iou, 0, 1)
        require("detector.later_stages.….loss_weight", self.loss_weight, 0)


class CascadeRCNN(RegionDetector):
    """A Faster R-CNN with a class-agnostic box regression, and stages that refine its boxes.

    Parts whose input width another part decides come as factories.

    Args:
        num_classes: C.
        feature_dim: D, width of the RoI features of every stage.
        backbone: images to features of strides 4, 8, 16, 32.
        fpn: makes the pyramid from the backbone's channels.
        rpn: makes the proposal network from the pyramid's channels.
        pooling: cuts RoIs out of the pyramid.
        box_head: makes a stage's RoI feature extractor from (channels, RoI side, D).
        box_regression: makes the first stage's box regression from (D, C), a later one's with
            another `coder`; it must be class-agnostic.
        sampler: chooses the RoIs of the first stage; later ones differ in the overlap.
        postprocess: makes the step from scores to detections from `decode`, a function of
            deltas (N, 4) and proposals (N, 4).
        later_stages: by name, in order.

    Raises:
        ValueError: a box regression for every class.
    """

    box_head: nn.ModuleDict
    box_regression: nn.ModuleDict

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: Width,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], FeaturePyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
        box_head: Callable[[int, int, int], BoxHead],
        box_regression: Callable[..., BoxRegression],
        sampler: RoISampler,
        postprocess: Callable[..., Postprocess],
        later_stages: Mapping[str, CascadeStage],
    ) -> None:
        super().__init__(num_classes, feature_dim, backbone, fpn, rpn, pooling)
        later = later_stages.items()
        sizes = (self.fpn.channels, pooling.side, feature_dim)
        regressions = {FIRST: box_regression(feature_dim, num_classes)} | {
            name: box_regression(feature_dim, num_classes, coder=BoxCoder(stage.stds))
            for name, stage in later
        }
        if not all(regression.class_agnostic for regression in regressions.values()):
            raise ValueError(
                "a cascade needs detector.box_regression.class_agnostic=true: boxes that depend on "
                "a class would depend on a classifier"
            )
        self.box_regression = nn.ModuleDict(regressions)
        self.box_head = nn.ModuleDict({name: box_head(*sizes) for name in regressions})
        self.samplers = {FIRST: sampler} | {name: sampler.at(stage.iou) for name, stage in later}
        self.loss_weights = {FIRST: 1.0} | {name: stage.loss_weight for name, stage in later}
        self.last = next(reversed(regressions))
        self.postprocess = postprocess(decode=regressions[self.last].coder.decode)

    def build_head(self, make: Callable[[int], ClassifierHead]) -> CascadeHead:
        """A classifier for each stage, weighted as the stage's box loss."""
        classifiers = {name: make(number) for number, name in enumerate(self.loss_weights)}
        return CascadeHead(classifiers, self.loss_weights)

    def training_regions(
        self,
        pyramid: Sequence[Tensor],
        targets: Sequence[Target],
        extra_boxes: Sequence[Tensor] | None = None,
    ) -> Regions:
        """See `RegionDetector.training_regions`; "box" is the stages' weighted sum.

        Every stage samples anew among the boxes that the stage before refined, and the objects'
        own boxes.
        """
        boxes, losses = self.rpn(pyramid, targets)
        proposed = None
        sizes = [target.size for target in targets]
        features, labels, box_losses = [], [], []
        for name, sampler in self.samplers.items():
            rois = sampler(boxes, targets, self.num_classes, proposed)
            features.append(self.box_head[name](self._pooled(pyramid, rois.boxes)))
            labels.append(rois.labels)
            loss = self.box_regression[name].loss(features[-1], rois)  # type: ignore[operator]
            box_losses.append(self.loss_weights[name] * loss)
            if name != self.last:
                boxes = self._refined(name, features[-1], rois.boxes, sizes)
                proposed = _proposed(rois)
        losses = losses | {"box": torch.stack(box_losses).sum()}
        extra = None if extra_boxes is None else self._extra_features(pyramid, extra_boxes)
        return Regions(tuple(features), tuple(labels), losses, extra)

    @torch.no_grad()
    def inference_regions(
        self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """See `RegionDetector.inference_regions`; proposals and deltas are the last stage's."""
        boxes = self.rpn.proposals(pyramid, sizes)
        counts = [len(image) for image in boxes]
        features = []
        for name, head in self.box_head.items():
            features.append(head(self._pooled(pyramid, boxes)))
            if name != self.last:
                boxes = self._refined(name, features[-1], boxes, sizes)
        deltas = self.box_regression[self.last](features[-1]).split(counts)
        per_image = zip(*(stage.split(counts) for stage in features), strict=True)
        return [ImageRegions(*parts) for parts in zip(boxes, per_image, deltas, strict=True)]

    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> tuple[Tensor, ...]:
        """See `RegionDetector.run_layers`."""
        for level in pyramid:
            self.rpn.head(level)
        side = self.pooling.side
        pooled = pyramid[0].new_empty(num_rois, self.fpn.channels, side, side)
        features = tuple(head(pooled) for head in self.box_head.values())
        for regression, rows in zip(self.box_regression.values(), features, strict=True):
            regression(rows)
        return features

    def _pooled(self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        return self.pooling(pyramid, with_image_index(boxes))

    @torch.no_grad()
    def _extra_features(
        self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Features (M, D) by every stage: pooled once, and apart from the RoIs (`FasterRCNN`)."""
        pooled = self._pooled(pyramid, boxes)
        return tuple(head(pooled) for head in self.box_head.values())

    @torch.no_grad()
    def _refined(
        self,
        name: str,
        features: Tensor,
        boxes: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Tensor]:
        """Boxes (·, 4) per image moved by a stage's regression of their features (·, D).

        Raises:
            FloatingPointError: a box is not finite, as when training diverged.
        """
        regression = self.box_regression[name]
        deltas = regression(features)
        if not deltas.isfinite().all():
            raise FloatingPointError(
                f"boxes of the cascade's {name} stage are not finite: where training diverged, "
                "lower the learning rate"
            )
        per_image = zip(deltas.split([len(image) for image in boxes]), boxes, sizes, strict=True)
        return [regression.coder.decode(*image) for image in per_image]  # type: ignore[operator, union-attr]


def _proposed(rois: SampledRoIs) -> tuple[Tensor, ...]:
    """(·,) bool per image: RoIs that are not an object's own box.

    The next sampler adds these boxes itself; refined ones would be proposals that no test has.
    """
    return rois.added.logical_not().split([len(image) for image in rois.boxes])
