"""What detectors that find regions in a pyramid share: backbone, pyramid and proposals.

B: images. P: proposals of an image. C: foreground classes; label C is background. D: width of an
RoI feature.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from bacl.detectors.any_detector import Detector, ImageRegions
from bacl.detectors.backbone import Backbone
from bacl.detectors.cast_weights import CastWeights, cast_once
from bacl.detectors.each_alone import Maps, each_alone
from bacl.detectors.fpn import Pyramid
from bacl.detectors.levels import Level
from bacl.detectors.proposals import Proposals
from bacl.detectors.roi_pooling import RoIPooling, with_image_index
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.detectors.scaled_parameters import ScaledParameters
from bacl.messages.errors import OptionError

Pool = Callable[[Tensor], Tensor]
Features = Callable[["RegionDetector", Tensor], Maps]
"""Where the pyramid of pictures (b, 3, h, w) that are computed by themselves comes from."""
Extract = Callable[["RegionDetector", Tensor, Features], Maps]
"""The pyramid of images, and what computes it layer by layer, if that is to be."""


class RegionDetector(Detector, ABC):
    """Backbone, pyramid and proposals; a subclass turns proposals into regions and boxes.

    Args:
        num_classes: C.
        feature_dim: D, width of the RoI features.
        backbone: images to features, mostly of strides 4, 8, 16, 32.
        fpn: makes the pyramid from the backbone's channels.
        rpn: makes the proposal network from the pyramid's channels.
        pooling: cuts RoIs out of the pyramid.
        each_alone: every picture's pyramid is computed by itself, so that it does not depend on the
            rest of the batch; always so with some backbones.

    Raises:
        OptionError: anchors, or pooling, of other strides than the pyramid has.
    """

    box_head: nn.Module
    """RoI feature extractor, or one per level."""
    box_regression: nn.Module
    """Box regression, or one per level."""

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], Pyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
        each_alone: bool = False,
    ) -> None:
        super().__init__(num_classes, feature_dim)
        self.backbone = backbone
        self.fpn = fpn(backbone.channels)
        self.rpn = rpn(self.fpn.channels)
        self.pooling = pooling
        self.cast = CastWeights()
        self._each_alone = each_alone
        self.features: Features = COMPUTED
        self.extract: Extract | None = None
        """What computes pyramids in place of the layers themselves (`bacl.detectors.programs`)."""
        self.strides = self.fpn.strides(backbone.strides)
        if self.rpn.anchors.strides != self.strides:
            raise OptionError(
                f"detector.rpn.anchors.strides={list(self.rpn.anchors.strides)}: the levels of the "
                f"pyramid have {list(self.strides)}"
            )
        self.pooling.require_strides(self.strides)

    def pyramid(
        self, images: Tensor, sizes: Sequence[tuple[int, int]] | None = None
    ) -> tuple[Tensor, ...]:
        """Feature maps (B, channels, H / stride, W / stride) of images (B, 3, H, W), P2 to P6.

        `strides` are 4, 8, 16, 32, 64 with most backbones; H and W are multiples of 32. Call it
        under `torch.no_grad` where backbone and pyramid are frozen; what comes after trains as
        before.

        Args:
            images: padded to one size.
            sizes: (height, width) of each with its own padding, multiples of 32. With `each_alone`
                they are computed so, and levels are zero beyond; on a GPU those of one size
                together. None takes the batch as it is.
        """
        if sizes is None or not self.each_alone:
            return _compute(self, images)
        together = images.is_cuda and self.features is COMPUTED
        with cast_once():
            return each_alone(partial(self.features, self), images, sizes, together)

    @property
    def each_alone(self) -> bool:
        """Whether a picture's pyramid does not depend on the rest of its batch."""
        return self._each_alone or self.backbone.each_alone

    def scaled_parameters(self) -> Sequence[ScaledParameters]:
        """What of the backbone trains otherwise than the rest of the detector."""
        return self.backbone.scaled_parameters()

    @property
    def extractor(self) -> Mapping[str, nn.Module]:
        """See `Detector.extractor`."""
        return {"backbone": self.backbone, "fpn": self.fpn, "box_head": self.box_head}

    @abstractmethod
    def fixed_regions(
        self, pool: Pool, proposals: Tensor, limit: Tensor, objectness: Tensor
    ) -> ImageRegions:
        """What `inference_regions` computes of R proposals, in operators that can be traced.

        No shape and no path depends on a value, so that a program for other runtimes can be
        recorded of it. Regions of several images stand in it as those of one.

        Args:
            pool: cuts RoIs (R, channels, side, side) out of the pyramid, of boxes (R, 4).
            proposals: (R, 4) of all images.
            limit: (R, 4), to which boxes are cut; see `bacl.detectors.boxes.limits`.
            objectness: (R,) float32 in [0, 1], the proposal network's scores.
        """

    @abstractmethod
    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> list[Level]:
        """What `inference_regions` computes with weights, for RoIs that are cut out of nothing.

        It chooses no proposals and so needs no values: on the meta device it is there to count
        the work of `num_rois` RoIs without doing it.

        Returns:
            Levels with features (num_rois, D) of no meaning, for a head.
        """

    def pooled(self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """RoIs (·, channels, side, side) of boxes (·, 4) given per image, images in order."""
        return self.pooling(pyramid, with_image_index(boxes))

    def box_features(self, pyramid: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Features (·, D) of boxes (·, 4) given per image at each level, images in order."""
        pooled = self.pooled(pyramid, boxes)
        own = self.box_head
        return [
            encode(pooled) for encode in (own.values() if isinstance(own, nn.ModuleDict) else [own])
        ]

    def image_level(
        self,
        pyramid: Sequence[Tensor],
        proposals: Proposals,
        image: int,
        boxes: Tensor,
        features: Tensor,
        encode: nn.Module,
        regress: nn.Module,
    ) -> Level:
        """A level of one image at inference.

        Args:
            pyramid: of the batch.
            proposals: of the batch.
            image: index of the image.
            boxes: (P, 4), what became of its proposals.
            features: (P, D).
            encode: what made them of pooled RoIs.
            regress: makes deltas of them.
        """
        pool = partial(self.pooled, [level[image : image + 1] for level in pyramid], [boxes])
        own = Proposals([boxes], [proposals.logits[image]])
        return Level(features, [boxes], pool, encode, regress, own.objectness)


def that_sees_pictures(detector: Detector, asked: str) -> RegionDetector:
    """The detector, if it makes its features of pictures itself.

    Raises:
        OptionError: it is given features that another toolkit's detector has made.
    """
    if not isinstance(detector, RegionDetector):
        raise OptionError(
            f"{asked}: this model is no detector by itself: it classifies features that another "
            "toolkit's detector has made; its weights are in that one's file (balanced.pth)"
        )
    return detector


def _compute(detector: RegionDetector, images: Tensor) -> Maps:
    if detector.extract is None:
        return _layer_by_layer(detector, images)
    return detector.extract(detector, images, _layer_by_layer)


def _layer_by_layer(detector: RegionDetector, images: Tensor) -> Maps:
    folded = detector.backbone.folded_layers()
    maps = detector.cast.call(detector.backbone, images, but=folded)
    return detector.cast.call(detector.fpn, maps)


COMPUTED: Features = _compute
"""They are computed."""
