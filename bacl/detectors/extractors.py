"""A detector's backbone and pyramid as one function of images, of which programs are made.

B: images. H, W: height and width of the network's input.
"""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from bacl.detectors.each_alone import Maps
from bacl.detectors.folded_weights import precision_of
from bacl.detectors.zeros_beyond import ZerosBeyond

if TYPE_CHECKING:
    from bacl.detectors.region_detector import RegionDetector

State = tuple[object, ...]
"""Equal where a program that was made of an extractor still is the extractor's."""


class Extractor(Protocol):
    """Images to the levels of a pyramid."""

    takes_canvases: bool
    """Whether images may lie on a larger canvas, with their true size as a second argument."""

    def __call__(self, images: Tensor, extent: Tensor | None = None) -> Maps:
        """Levels of images (B, 3, H, W)."""


class LiveExtractor:
    """The detector's own layers, as their weights are at each call."""

    takes_canvases = False

    def __init__(self, detector: "RegionDetector") -> None:
        self.detector = detector

    def __call__(self, images: Tensor, extent: Tensor | None = None) -> Maps:
        """Levels of images (B, 3, H, W); an `extent` is not taken."""
        with self.detector.backbone.folding_anew():
            return self.detector.fpn(self.detector.backbone(images))


class FrozenExtractor(nn.Module):
    """A copy of layers that do not learn, with all that is the same for every picture done once.

    Batch norms are folded into the convolutions, and what autocast would cast in each step is cast.
    So it costs the memory of its weights, and gives the bits of the layers that it is a copy of.

    Args:
        detector: in eval mode, without parameters in backbone and pyramid that learn.
    """

    def __init__(self, detector: "RegionDetector") -> None:
        super().__init__()
        self.takes_canvases = detector.backbone.keeps_zeros and detector.fpn.keeps_zeros
        self.backbone = copy.deepcopy(detector.backbone)
        self.fpn = copy.deepcopy(detector.fpn)
        self.backbone.fold_norms()
        self.eval().requires_grad_(False)
        for layer in self.modules():
            if isinstance(layer, _ConvNd | nn.Linear):
                layer.to(precision_of(layer.weight))
        self._zeros = ZerosBeyond(self) if self.takes_canvases else None

    def forward(self, images: Tensor, extent: Tensor | None = None) -> Maps:
        """Levels of images (B, 3, H, W).

        Args:
            images: zero beyond `extent`.
            extent: (2,) int64, height and width of the images, multiples of 32, where they lie in
                the upper left corner of a larger canvas. Their part of the levels is what it is
                without the canvas; beyond, levels have no meaning.
        """
        if self._zeros is None or extent is None:
            return self.fpn(self.backbone(images))
        with self._zeros.of(images, extent):
            return self.fpn(self.backbone(images))


def learns(detector: "RegionDetector") -> bool:
    """Whether the extractor's weights may change without torch's counting it, or go by a mode.

    Those that train do: fused optimisers raise no version. Tensors of inference mode have none.
    """
    if any(tensor.requires_grad or tensor.is_inference() for tensor in _tensors(detector)):
        return True
    return any(modes_of(detector))


def modes_of(detector: "RegionDetector") -> tuple[bool, ...]:
    """Which layers are in training mode."""
    parts = (detector.backbone, detector.fpn)
    return tuple(module.training for part in parts for module in part.modules())


def state_of(detector: "RegionDetector", live: bool) -> State:
    """Where weights lie and, unless programs read them anew each time (`live`), their versions."""
    return tuple(
        (tensor.data_ptr(), tensor.dtype, None if live else tensor._version)
        for tensor in _tensors(detector)
    )


def _tensors(detector: "RegionDetector") -> Iterator[Tensor]:
    for layers in (detector.backbone, detector.fpn):
        yield from layers.parameters()
        yield from layers.buffers()
