"""What detectors that classify regions share: backbone, pyramid, proposals, and the hand-over.

B: images. R: sampled RoIs of the batch. P: proposals of an image. M: extra boxes of the batch.
C: foreground classes; label C is background. D: width of an RoI feature.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bacl.data.batch import Detections, Target
from bacl.detectors.backbone import Backbone
from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.mask_branch import MaskBranch
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.roi_pooling import RoIPooling
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.heads import ClassifierHead, Head

PerStage = Tensor | tuple[Tensor, ...]
"""A tensor, or one for each stage of a detector that has several."""


@dataclass(slots=True)
class Regions:
    """What one training step hands to the classifier heads.

    Whatever is not a loss is a tensor, or of a detector with several stages a tuple of them, one
    per stage: what the heads made by the detector's `build_head` take.
    """

    features: PerStage
    """(R, D) features of the sampled RoIs, images in order."""
    labels: PerStage
    """(R,) int64 in [0, C]; C is background."""
    losses: dict[str, Tensor]
    """Scalars "rpn_objectness", "rpn_box", "box" and, with a mask branch, "mask", in float32,
    always with a graph."""
    extra: PerStage | None = None
    """(M, D) features of the extra boxes, images in order, without gradient; None without any."""


@dataclass(slots=True)
class ImageRegions:
    """One image's proposals at inference, all that detections depend on but the classifier."""

    proposals: Tensor
    """(P, 4) float32 in pixels of the network's input."""
    features: PerStage
    """(P, D), or a tuple of such tensors, one per stage of the detector."""
    deltas: Tensor
    """(P, 4 C) float32, the box regression of every class, or (P, 4), one for all classes."""


class RegionDetector(nn.Module, ABC):
    """Backbone, pyramid and proposals; a subclass turns proposals into regions and boxes.

    Args:
        num_classes: C.
        feature_dim: D, width of the RoI features.
        backbone: images to features of strides 4, 8, 16, 32.
        fpn: makes the pyramid from the backbone's channels.
        rpn: makes the proposal network from the pyramid's channels.
        pooling: cuts RoIs out of the pyramid.
    """

    box_head: nn.Module
    """RoI feature extractor, or one per stage."""
    box_regression: nn.Module
    """Box regression, or one per stage."""
    postprocess: Postprocess
    mask: MaskBranch | None
    """Of a detector that segments what it detects."""

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        backbone: Backbone,
        fpn: Callable[[Sequence[int]], FeaturePyramid],
        rpn: Callable[[int], RegionProposalNetwork],
        pooling: RoIPooling,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.backbone = backbone
        self.fpn = fpn(backbone.channels)
        self.rpn = rpn(self.fpn.channels)
        self.pooling = pooling
        self.mask = None

    @abstractmethod
    def build_head(self, make: Callable[[int], ClassifierHead]) -> Head[Any]:
        """A head for this detector's regions, of as many classifiers as it has stages.

        Args:
            make: builds the classifier of stage 0, 1, …, each with draws of its own.
        """

    def pyramid(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps P2 to P6 (B, channels, H / stride, W / stride) of images (B, 3, H, W).

        Strides are 4, 8, 16, 32, 64; H and W are multiples of 32. Call it under `torch.no_grad`
        where backbone and pyramid are frozen; what comes after trains as before.
        """
        return self.fpn(self.backbone(images))

    @abstractmethod
    def training_regions(
        self,
        pyramid: Sequence[Tensor],
        targets: Sequence[Target],
        extra_boxes: Sequence[Tensor] | None = None,
    ) -> Regions:
        """Sampled RoIs, their features, and the losses that do not depend on a classifier.

        Args:
            pyramid: what `pyramid` returned.
            targets: one per image; images without objects are welcome.
            extra_boxes: per image (·, 4) boxes whose features are wanted too, without gradient.

        Anchors and RoIs are drawn with torch's global generator.
        """

    @abstractmethod
    def inference_regions(
        self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """Proposals, features and deltas per image; `sizes` are (height, width) inside padding."""

    @abstractmethod
    def run_layers(self, pyramid: Sequence[Tensor], num_rois: int) -> PerStage:
        """What `inference_regions` computes with weights, for RoIs that are cut out of nothing.

        It chooses no proposals and so needs no values: on the meta device it is there to count
        the work of `num_rois` RoIs without doing it.

        Returns:
            (num_rois, D) features of no meaning, for a head; per stage, if there are several.
        """

    def detect(
        self, regions: ImageRegions, probabilities: Tensor, size: tuple[int, int]
    ) -> Detections:
        """Detections of one image in pixels of the network's input.

        Args:
            regions: one of `inference_regions`.
            probabilities: (P, C + 1) from a head, background last.
            size: (height, width) of the image inside its padding.
        """
        return self.postprocess(regions.proposals, regions.deltas, probabilities, size)

    def segment(
        self,
        pyramid: Sequence[Tensor],
        detections: Sequence[Detections],
        targets: Sequence[Target],
    ) -> Sequence[Detections]:
        """The images' detections, as `detect` returned them, with masks if there is a branch."""
        return detections if self.mask is None else self.mask.segment(pyramid, detections, targets)
