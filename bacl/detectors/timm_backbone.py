"""Any backbone of the timm library that gives feature maps of strides 4, 8, 16 and 32."""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor, nn

from bacl.detectors.backbone import Backbone
from bacl.detectors.timm_models import create_model
from bacl.options.ranges import FrozenStages, Named, Text, Weights

STRIDES = (4, 8, 16, 32)


class TimmBackbone(Backbone):
    """A timm `features_only` model.

    Args:
        name: timm's name of the model.
        frozen_stages: stages without gradient, as of a ResNet; a model that timm does not take
            apart is one stage.
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: a file (see `read_weights`) of the whole model, or "timm" for what timm downloads;
            None for random weights.
        norm: a new layer norm on every feature map, as published detectors on a Swin have.
        options: what else timm's model takes, but for `timm_models.SOURCES`.

    Raises:
        ImportError: timm is not installed.
        ValueError: the model has no feature map of one of the strides, or takes no such option.
        WeightsError: its weights cannot be had, are damaged, or belong to another model.
    """

    def __init__(
        self,
        name: Text,
        frozen_stages: FrozenStages,
        norm_eval: bool,
        weights: Weights,
        norm: bool = False,
        options: Named | None = None,
    ) -> None:
        super().__init__()
        model = create_model(name, weights, options or {}, features_only=True)
        self.model: nn.Module = model
        reductions = list(model.feature_info.reduction())
        if not set(STRIDES) <= set(reductions):
            raise ValueError(_other_strides(name, reductions))
        self._taps = [reductions.index(stride) for stride in STRIDES]
        widths = model.feature_info.channels()
        self.channels = tuple(widths[tap] for tap in self._taps)
        windowed = any(hasattr(part, "window_size") for part in model.modules())
        self.any_size = not windowed or _swin_windows().can_be_made_traceable(model)
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

    def make_traceable(self) -> None:
        """See `Backbone.make_traceable`: a Swin's windows, which are cut out of padded maps."""
        _swin_windows().make_traceable(self.model)

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


def _swin_windows() -> ModuleType:
    """The module that imports timm, which has been asked for by then."""
    return import_module("bacl.detectors.swin_windows")


def _other_strides(name: str, strides: Sequence[int]) -> str:
    told = f"timm model {name} gives strides {list(strides)}, not all of {STRIDES}"
    if len(set(strides)) > 1:
        return told
    return (
        f"{told}; a plain ViT is the backbone of another detector: detector=faster_rcnn_vit "
        f"detector.backbone.name={name}"
    )
