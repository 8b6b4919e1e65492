"""Any backbone of the timm library that gives feature maps of strides 4, 8, 16 and 32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.backbone import Backbone

STRIDES = (4, 8, 16, 32)


class TimmBackbone(Backbone):
    """A timm `features_only` model.

    Args:
        name: timm's name of the model.
        frozen_stages: 0, or 1 to freeze the whole model.
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: a file, or "timm" for what timm downloads; None for random weights.

    Raises:
        ImportError: timm is not installed.
        ValueError: the model has no feature map of one of the strides.
    """

    def __init__(self, name: str, frozen_stages: int, norm_eval: bool, weights: str | None) -> None:
        super().__init__()
        model = _create(name, weights)
        self.model: nn.Module = model
        reductions = list(model.feature_info.reduction())
        if not set(STRIDES) <= set(reductions):
            raise ValueError(f"timm model {name} gives strides {reductions}, not all of {STRIDES}")
        self._taps = [reductions.index(stride) for stride in STRIDES]
        widths = model.feature_info.channels()
        self.channels = tuple(widths[tap] for tap in self._taps)
        self._channels_last = str(getattr(model, "output_fmt", "")) == "NHWC"
        self.freeze(frozen_stages, norm_eval)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The whole model as one stage: timm's models do not share a finer structure."""
        return ((self.model,),)

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """The last feature map; `forward` takes all of them."""
        return self.forward(x)[-1]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Four maps (B, channels_i, H / stride_i, W / stride_i) of images (B, 3, H, W)."""
        learns = torch.is_grad_enabled() and self.frozen_stages == 0
        with torch.set_grad_enabled(learns):
            maps = self.model(images.contiguous(memory_format=torch.channels_last))
        features = (maps[tap] for tap in self._taps)
        return tuple(x.permute(0, 3, 1, 2) if self._channels_last else x for x in features)


def _create(name: str, weights: str | None) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"backbone {name} needs the timm library: pip install 'bacl[timm]'"
        ) from error
    if weights is not None and weights != "timm" and not Path(weights).is_file():
        raise FileNotFoundError(
            f"backbone weights {weights} do not exist; give an existing file, 'timm', or null"
        )
    local = {"file": weights} if weights not in (None, "timm") else None
    try:
        return timm.create_model(
            name, pretrained=weights is not None, pretrained_cfg_overlay=local, features_only=True
        )
    except OSError as error:
        raise RuntimeError(
            f"could not download timm's weights of {name} ({error}); set detector.backbone.weights "
            "to a local file, or to null for random weights"
        ) from error
