"""MobileNetV3 backbone (Howard et al., ICCV 2019), as torchvision's detectors have it.

Layers carry torchvision's names (features.0.0, ...), so its weights load as they are.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large

from bacl.detectors.backbone import Backbone
from bacl.detectors.norms import FixedNorm
from bacl.detectors.weights import load_weights
from bacl.options.ranges import FrozenStages, Weights

STAGES = (slice(0, 4), slice(4, 7), slice(7, 13), slice(13, 14), slice(14, 17))
"""Layers up to the last of strides 4, 8 and 16, the first of stride 32, and the others of 32."""


class MobileNetV3(Backbone):
    """MobileNetV3-Large without its classifier: two maps of stride 32, the first and the last.

    Args:
        frozen_stages: stages without gradient (0: none; 1: up to stride 4; 2: up to stride 8, as
            torchvision trains its detectors).
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: file or torchvision name (see `load_weights`); None for random weights.
        norm: makes a normalisation layer from its channels.
    """

    channels = (160, 960)
    strides = (32, 32)
    first_map = 3

    def __init__(
        self,
        frozen_stages: FrozenStages,
        norm_eval: bool,
        weights: Weights,
        norm: Callable[[int], nn.Module] = FixedNorm,
    ) -> None:
        super().__init__()
        self.features = mobilenet_v3_large(weights=None, norm_layer=norm).features
        load_weights(self, weights, leave_out="classifier.")
        self.freeze(frozen_stages, norm_eval)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """See `STAGES`."""
        return [tuple(self.features[stage]) for stage in STAGES]

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """Feature map of stage `index` for the one before it."""
        for layer in self.stages()[index]:
            x = layer(x)
        return x
