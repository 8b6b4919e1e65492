"""MobileNetV2 backbone (Sandler et al., CVPR 2018).

Layers carry torchvision's names (features.0.0, ...), so its weights load as they are.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.mobilenetv2 import InvertedResidual

from bacl.detectors.backbone import Backbone
from bacl.detectors.folding import Convolve, with_norms
from bacl.detectors.weights import load_weights
from bacl.options.ranges import FrozenStages, Weights

STAGES = (slice(0, 4), slice(4, 7), slice(7, 14), slice(14, 19))
"""Layers up to the last of strides 4, 8, 16 and 32."""


class MobileNetV2(Backbone):
    """MobileNetV2 without its classifier.

    Args:
        frozen_stages: stages without gradient (0: none; 1: up to stride 4).
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: file or torchvision name (see `load_weights`); None for random weights.
    """

    channels = (24, 32, 96, 1280)
    keeps_zeros = True

    def __init__(self, frozen_stages: FrozenStages, norm_eval: bool, weights: Weights) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None).features
        load_weights(self, weights, leave_out="classifier.")
        self.pairs = [with_norms(stage) for stage in self.stages()]
        self.freeze(frozen_stages, norm_eval)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Layers that end at strides 4, 8, 16 and 32."""
        return [tuple(self.features[stage]) for stage in STAGES]

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """Feature map of stage `index` for the one before it."""
        return _run(self.stages()[index], x, self.folded(index))


def _run(layers: Iterable[nn.Module], x: Tensor, convolve: Convolve) -> Tensor:
    """The layers one after the other, each batch norm together with the convolution before it."""
    remaining = iter(layers)
    for layer in remaining:
        if isinstance(layer, InvertedResidual):
            out = _run(layer.conv, x, convolve)
            x = x + out if layer.use_res_connect else out
        elif isinstance(layer, nn.Sequential):
            x = _run(layer, x, convolve)
        elif isinstance(layer, nn.Conv2d):
            x = convolve(x, layer, next(remaining))
        else:
            x = layer(x)
    return x
