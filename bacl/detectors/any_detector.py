"""What a stage of training asks of a detector, whatever its levels are made of.

P: regions of an image. C: foreground classes. D: width of a region's feature.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bacl.data.batch import Detections, Target
from bacl.detectors.levels import ExtraBoxes, Level, TrainingLevel
from bacl.detectors.mask_branch import MaskBranch
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.scaled_parameters import ScaledParameters

FIRST = "first"
"""Name of a detector's first level; a Faster R-CNN has no other."""
NOTHING_ELSE: Mapping[Hashable, ExtraBoxes] = {}


@dataclass(slots=True)
class Regions:
    """What one training step hands to the classifier heads."""

    levels: Sequence[TrainingLevel]
    """In the order of the detector's `level_weights`."""
    losses: dict[str, Tensor]
    """Scalars in float32, always with a graph, of what trains beside the classifiers. Of a
    `RegionDetector` "rpn_objectness", "rpn_box", "box" and, with a mask branch, "mask"."""


@dataclass(slots=True)
class ImageRegions:
    """One image's proposals at inference, all that detections depend on but the classifier."""

    levels: Sequence[Level]
    """In the order of the detector's `level_weights`, of P RoIs each."""
    deltas: Tensor
    """(P, 4 C) float32, the last level's box regression of every class, or (P, 4), one for all."""

    @property
    def proposals(self) -> Tensor:
        """(P, 4) float32 in pixels of the network's input: the last level's boxes."""
        (boxes,) = self.levels[-1].boxes
        return boxes


class Detector(nn.Module, ABC):
    """Hands levels to classifiers, and makes detections of the scores that it gets back.

    Nothing in it depends on a classifier.

    Args:
        num_classes: C.
        feature_dim: D.
    """

    level_weights: Mapping[str, float]
    """Name of each level, for which a head has a classifier, and the weight of its losses."""
    postprocess: Postprocess
    mask: MaskBranch | None
    """Of a detector that segments what it detects."""
    init_from: str | None = None
    """A trained detector of any categories that the first training starts from, in place of the
    backbone's weights: a file, or torchvision's name of published ones."""
    init_names: Mapping[str, str] = {}
    """Names of categories in the data by names in that detector, where they differ."""

    def __init__(self, num_classes: int, feature_dim: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.mask = None

    @property
    def extractor(self) -> Mapping[str, nn.Module]:
        """What features are made by, by the names of its parts; nothing where they are given."""
        return {}

    def scaled_parameters(self) -> Sequence[ScaledParameters]:
        """What trains otherwise than the rest of the detector."""
        return ()

    @abstractmethod
    def pyramid(self, images: Any, sizes: Sequence[tuple[int, int]] | None = None) -> Any:
        """What the regions of a batch's images are cut out of.

        Call it under `torch.no_grad` where the extractor is frozen.

        Args:
            images: of the batch.
            sizes: (height, width) of each with its own padding, where that is of interest.
        """

    @abstractmethod
    def training_regions(
        self,
        pyramid: Any,
        targets: Sequence[Target],
        extra: Mapping[Hashable, ExtraBoxes] = NOTHING_ELSE,
    ) -> Regions:
        """Sampled regions, their features, and the losses that do not depend on a classifier.

        Args:
            pyramid: what `pyramid` returned.
            targets: one per image; images without objects are welcome.
            extra: boxes whose features are wanted too, by what wants them; the regions' features
                do not depend on them, not even by rounding.

        What is drawn is drawn with torch's global generator.
        """

    @abstractmethod
    def inference_regions(
        self, pyramid: Any, sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """Proposals, features and deltas per image; `sizes` are (height, width) inside padding."""

    @abstractmethod
    def box_features(self, pyramid: Any, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Features (·, D) of boxes (·, 4) given per image at each level, images in order."""

    def detect(
        self,
        regions: ImageRegions,
        probabilities: Tensor,
        size: tuple[int, int],
        postprocess: Postprocess | None = None,
    ) -> Detections:
        """Detections of one image in pixels of the network's input.

        Args:
            regions: one of `inference_regions`.
            probabilities: (P, C + 1) from a head, background last.
            size: (height, width) of the image inside its padding.
            postprocess: in place of the detector's own.
        """
        (detections,) = self.detect_together([regions], [probabilities], [size], postprocess)
        return detections

    def detect_together(
        self,
        regions: Sequence[ImageRegions],
        probabilities: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        postprocess: Postprocess | None = None,
    ) -> list[Detections]:
        """What `detect` gives for each of several images; a GPU is waited for less often."""
        select = postprocess or self.postprocess
        proposals, deltas = [each.proposals for each in regions], [each.deltas for each in regions]
        return select.together(proposals, deltas, probabilities, sizes)

    def segment(
        self, pyramid: Any, detections: Sequence[Detections], targets: Sequence[Target]
    ) -> Sequence[Detections]:
        """The images' detections, as `detect` returned them, with masks if there is a branch."""
        return detections if self.mask is None else self.mask.segment(pyramid, detections, targets)
