"""Any backbone of the timm library that gives feature maps of strides 4, 8, 16 and 32."""

from collections.abc import Mapping, Sequence
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
        frozen_stages: stages without gradient, as of a ResNet; a model that timm does not take
            apart is one stage.
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: a file, or "timm" for what timm downloads; None for random weights.
        norm: a new layer norm on every feature map, as published detectors on a Swin have.
        options: what else timm's model takes.

    Raises:
        ImportError: timm is not installed.
        ValueError: the model has no feature map of one of the strides, or takes no such option.
    """

    def __init__(
        self,
        name: str,
        frozen_stages: int,
        norm_eval: bool,
        weights: str | None,
        norm: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        model = _create(name, weights, options or {})
        self.model: nn.Module = model
        reductions = list(model.feature_info.reduction())
        if not set(STRIDES) <= set(reductions):
            raise ValueError(f"timm model {name} gives strides {reductions}, not all of {STRIDES}")
        self._taps = [reductions.index(stride) for stride in STRIDES]
        widths = model.feature_info.channels()
        self.channels = tuple(widths[tap] for tap in self._taps)
        self._channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if norm else nn.Identity() for width in self.channels
        )
        self.freeze(frozen_stages, norm_eval)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Modules up to each of the four maps; the whole model where timm does not list them."""
        outputs = list(getattr(self.model, "return_layers", ()))
        if not outputs:
            return ((self.model,),)
        ends = {outputs[tap] for tap in self._taps}
        stages: list[list[nn.Module]] = [[]]
        for name, module in self.model.named_children():
            stages[-1].append(module)
            if name in ends:
                stages.append([])
        return stages[: len(STRIDES)]

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """The last feature map; `forward` takes all of them."""
        return self.forward(x)[-1]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Four maps (B, channels_i, H / stride_i, W / stride_i) of images (B, 3, H, W)."""
        maps = self.model(images.contiguous(memory_format=torch.channels_last))
        taps = zip(self.norms, (maps[tap] for tap in self._taps), strict=True)
        return tuple(self._normalised(norm, x) for norm, x in taps)

    def _normalised(self, norm: nn.Module, x: Tensor) -> Tensor:
        """The map (B, channels, H, W), normalised over the channels."""
        return norm(x if self._channels_last else x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _create(name: str, weights: str | None, options: Mapping[str, Any]) -> Any:
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
            name, pretrained=weights is not None, pretrained_cfg_overlay=local, features_only=True,
            **options,
        )  # fmt: skip
    except TypeError as error:
        raise ValueError(f"backbone {name}: timm refuses {dict(options)}: {error}") from error
    except OSError as error:
        raise RuntimeError(
            f"could not download timm's weights of {name} ({error}); set detector.backbone.weights "
            "to a local file, or to null for random weights"
        ) from error
