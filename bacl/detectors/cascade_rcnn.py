"""Cascade R-CNN (Cai and Vasconcelos, CVPR 2018) without the classifiers.

Each level refines the boxes of the level before and is trained at a higher overlap. One box
regression serves all classes, so no box, no RoI and no feature depends on a classifier: heads are
trained side by side on a cascade exactly as alone, as on a Faster R-CNN.

B: images. R: sampled RoIs of a level. P: proposals of an image. C: foreground classes.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bacl.data.batch import Target
from bacl.detectors.any_detector import FIRST, NOTHING_ELSE, ImageRegions, Regions
from bacl.detectors.backbone import Backbone
from bacl.detectors.box_head import BoxHead
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder, clipped
from bacl.detectors.fpn import Pyramid
from bacl.detectors.levels import (
    ExtraBoxes,
    ExtraFeatures,
    Level,
    TrainingLevel,
    fixed_level,
    uncut_level,
)
from bacl.detectors.matching import RoISampler, SampledRoIs
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.refined_boxes import (
    not_objects_own,
    objectness_by_image,
    refined,
    require_finite,
)
from bacl.detectors.region_detector import Pool, RegionDetector
from bacl.detectors.roi_pooling import Cuts, RoIPooling, with_image_index
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.detectors.transfers import Awaited
from bacl.messages.errors import OptionError
from bacl.options.marks import AfterTraining, NamesFile, Trains
from bacl.options.ranges import (
    Classes,
    FeatureDim,
    Name,
    NotNegative,
    PositiveShare,
    Stds,
    Text,
    Weights,
)


@dataclass(frozen=True, kw_only=True)
class CascadeLevel:
    """What sets a later level apart from the first one."""

    iou: PositiveShare
    """Overlap with an object from which on an RoI is a positive example, and no negative one."""
    stds: Stds
    """Of the box coder: the closer the boxes, the smaller the deltas that are left."""
    loss_weight: NotNegative
    """Of classification and box loss; the first level's is 1."""


class CascadeRCNN(RegionDetector):
    """A Faster R-CNN with a class-agnostic box regression, and levels that refine its boxes.

    Parts whose input width another part decides come as factories.

    Args:
        num_classes: C.
        feature_dim: D, width of the RoI features of every level.
        backbone: images to features of strides 4, 8, 16, 32.
        fpn: makes the pyramid from the backbone's channels.
        rpn: makes the proposal network from the pyramid's channels.
        pooling: cuts RoIs out of the pyramid.
        box_head: makes a level's RoI feature extractor from (channels, RoI side, D).
        box_regression: makes the first level's box regression from (D, C), a later one's with
            another `coder`; it must be class-agnostic.
        sampler: chooses the RoIs of the first level; later ones differ in the overlap.
        postprocess: makes the step from scores to detections from `decode`, a function of
            deltas (N, 4) and proposals (N, 4).
        later_levels: by name, in order.
        init_from: see `RegionDetector.init_from`.
        init_names: see `RegionDetector.init_names`.

    Raises:
        OptionError: a box regression for every class.
    """

    box_head: nn.ModuleDict
    box_regression: nn.ModuleDict

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], Pyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
        box_head: Callable[[int, int, int], BoxHead],
        box_regression: Callable[..., BoxRegression],
        sampler: RoISampler,
        postprocess: AfterTraining[Callable[..., Postprocess]],
        later_levels: Mapping[Name, CascadeLevel],
        init_from: Trains[Weights] = None,
        init_names: Trains[NamesFile[Mapping[Text, Text] | None]] = None,
        each_alone: bool = False,
    ) -> None:
        super().__init__(num_classes, feature_dim, backbone, fpn, rpn, pooling, each_alone)
        self.init_from, self.init_names = init_from, dict(init_names or {})
        later = later_levels.items()
        sizes = (self.fpn.channels, pooling.side, feature_dim)
        regressions = {FIRST: box_regression(feature_dim, num_classes)} | {
            name: box_regression(feature_dim, num_classes, coder=BoxCoder(level.stds))
            for name, level in later
        }
        if not all(regression.class_agnostic for regression in regressions.values()):
            raise OptionError(
                "a cascade needs detector.box_regression.class_agnostic=true: boxes that depend on "
                "a class would depend on a classifier"
            )
        self.box_regression = nn.ModuleDict(regressions)
        self.box_head = nn.ModuleDict({name: box_head(*sizes) for name in regressions})
        self.samplers = {FIRST: sampler} | {name: sampler.at(level.iou) for name, level in later}
        self.level_weights = {FIRST: 1.0} | {name: level.loss_weight for name, level in later}
        self.last = next(reversed(regressions))
        self.postprocess = postprocess(decode=regressions[self.last].coder.decode)

    def training_regions(
        self,
        pyramid: Sequence[Tensor],
        targets: Sequence[Target],
        extra: Mapping[Hashable, ExtraBoxes] = NOTHING_ELSE,
    ) -> Regions:
        """See `RegionDetector.training_regions`; "box" is the levels' weighted sum.

        Every level samples anew among the boxes that the level before refined, and the objects'
        own boxes.
        """
        awaited = Awaited()
        proposals, rpn_losses = self.rpn.begin(pyramid, targets, awaited)
        plans = {key: self._plan(own.boxes, awaited, own.joined) for key, own in extra.items()}
        rois = self.samplers[FIRST](proposals.boxes, targets, self.num_classes, None, awaited)
        losses = rpn_losses()
        pooled = {key: self._pooled_extra(pyramid, cuts) for key, cuts in plans.items()}
        objectness: Callable[[], Sequence[Tensor]] = proposals.objectness
        levels, box_losses, names = [], [], [*self.samplers]
        for name, following in zip(names, (*names[1:], None), strict=True):
            features = self._encoded(name, pyramid, rois.boxes, awaited)
            loss = self.box_regression[name].loss(features, rois)  # type: ignore[operator]
            box_losses.append(self.level_weights[name] * loss)
            cut = partial(self.pooled, pyramid, rois.boxes)
            made_by = cut, self.box_head[name], self.box_regression[name], objectness
            found = {key: self._encoded_extra(name, pooled[key], extra[key]) for key in extra}
            level = TrainingLevel(features, rois.boxes, *made_by, rois, targets, found)
            levels.append(level)
            if following is not None:
                rois = self._following_rois(name, following, level, awaited)
                objectness = partial(objectness_by_image, level)
        return Regions(levels, losses | {"box": torch.stack(box_losses).sum()})

    def _following_rois(
        self, name: str, following: str, level: TrainingLevel, awaited: Awaited
    ) -> SampledRoIs:
        """Sampled among the boxes that a level has refined."""
        rois, targets = level.rois, level.targets
        sizes = [target.size for target in targets]
        usable = not_objects_own(rois)
        boxes = self._refined(name, level.features, rois.boxes, sizes, awaited)
        return self.samplers[following](boxes, targets, self.num_classes, usable, awaited)

    @torch.no_grad()
    def inference_regions(
        self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """See `RegionDetector.inference_regions`."""
        awaited = Awaited()
        proposals = self.rpn.proposals(pyramid, sizes, awaited)
        boxes, counts = proposals.boxes, [len(image) for image in proposals.boxes]
        levels: list[list[Level]] = [[] for _ in sizes]
        for name, head in self.box_head.items():
            features = self._encoded(name, pyramid, boxes, awaited)
            for image, rows in enumerate(features.split(counts)):
                own = boxes[image], rows, head, self.box_regression[name]
                level = self.image_level(pyramid, proposals, image, *own)
                levels[image].append(level)
            if name != self.last:
                boxes = self._refined(name, features, boxes, sizes, awaited)
        deltas = self.box_regression[self.last](features).split(counts)
        return [ImageRegions(*parts) for parts in zip(levels, deltas, strict=True)]

    def fixed_regions(
        self, pool: Pool, proposals: Tensor, limit: Tensor, objectness: Tensor
    ) -> ImageRegions:
        """See `RegionDetector.fixed_regions`."""
        boxes, levels = proposals, []
        for name, encode in self.box_head.items():
            regress = self.box_regression[name]
            levels.append(fixed_level(pool(boxes), boxes, encode, regress, objectness))
            deltas = regress(levels[-1].features)
            if name != self.last:
                moved = regress.coder.decode(deltas, boxes)  # type: ignore[operator, union-attr]
                boxes = clipped(moved, limit)
        return ImageRegions(levels, deltas)

    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> list[Level]:
        """See `RegionDetector.run_layers`."""
        for stride in pyramid:
            self.rpn.head(stride)
        side = self.pooling.side
        pooled = pyramid[0].new_empty(num_rois, self.fpn.channels, side, side)
        pairs = list(zip(self.box_head.values(), self.box_regression.values(), strict=True))
        levels = [uncut_level(pooled, *pair) for pair in pairs]
        for (_, regression), level in zip(pairs, levels, strict=True):
            regression(level.features)
        return levels

    @torch.no_grad()
    def _pooled_extra(self, pyramid: Sequence[Tensor], cuts: Cuts) -> Tensor:
        """Extra boxes are pooled once for all levels, and apart from the RoIs (`FasterRCNN`)."""
        return self.pooling(pyramid, cuts)

    @torch.no_grad()
    def _encoded_extra(self, name: str, pooled: Tensor, asked: ExtraBoxes) -> ExtraFeatures:
        return ExtraFeatures(self.cast.call(self.box_head[name], pooled), asked.labels)

    @torch.no_grad()
    def _refined(
        self,
        name: str,
        features: Tensor,
        boxes: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        awaited: Awaited,
    ) -> list[Tensor]:
        """Boxes (·, 4) per image moved by a level's regression; see `refined`."""
        regression: Any = self.box_regression[name]
        deltas = regression(features)
        require_finite(deltas, name, awaited)
        return refined(regression.coder, deltas, boxes, sizes)

    def _encoded(
        self, name: str, pyramid: Sequence[Tensor], boxes: Sequence[Tensor], awaited: Awaited
    ) -> Tensor:
        """Features (·, D) of a level's RoIs."""
        pooled = self.pooling(pyramid, self._plan(boxes, awaited))
        features: Tensor = self.cast.call(self.box_head[name], pooled)
        return features

    def _plan(
        self, boxes: Sequence[Tensor], awaited: Awaited, joined: Tensor | None = None
    ) -> Cuts:
        return self.pooling.plan(with_image_index(boxes, joined), awaited)
