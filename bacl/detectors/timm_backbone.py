"""Any backbone of the timm library that gives feature maps of strides 4, 8, 16 and 32."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.backbone import Backbone
from bacl.detectors.weights import WeightsError, read_weights
from bacl.options.ranges import FrozenStages, Named, Text, Weights

STRIDES = (4, 8, 16, 32)
SOURCES = {
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict"),
    *("checkpoint_path", "cache_dir", "features_only"),
}
"""Options of timm's that say where weights come from: ours is `weights`."""
Create = Callable[..., Any]
"""`timm.create_model` but for the weights."""


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
        options: what else timm's model takes, but for `SOURCES`.

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
        if taken := sorted(SOURCES & set(options or {})):
            raise ValueError(f"options of backbone {name}: {taken} are set by `weights`, not here")
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
    create = partial(timm.create_model, name, features_only=True, **options)
    try:
        if weights is None:
            return create()
        if weights == "timm":
            return _downloaded(timm, name, create)
        return _from_file(name, create, Path(weights))
    except TypeError as error:
        raise ValueError(f"backbone {name}: timm refuses {dict(options)}: {error}") from error


def _from_file(name: str, create: Create, path: Path) -> Any:
    source = {"state_dict": read_weights(path)}
    random = _seeded(name, create)
    model = _seeded(name, create, pretrained=True, pretrained_cfg_overlay=source)
    # timm takes what fits from a file and leaves the rest at random, without a word. What kept its
    # random values, drawn twice from one seed, was not in the file.
    drawn = dict(random.named_parameters())
    left = [k for k, v in model.named_parameters() if v.dim() > 1 and torch.equal(v, drawn[k])]
    if left:
        raise WeightsError(f"weights {path} do not fit timm's {name}: missing {left[:3]}")
    return model


def _seeded(name: str, create: Create, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            return create(**options)
        except RuntimeError as error:  # of load_state_dict: shapes
            raise WeightsError(f"weights do not fit timm's {name}: {error}") from error


def _downloaded(timm: Any, name: str, create: Create) -> Any:
    timm.models.set_pretrained_check_hash(True)  # where the address carries one
    try:
        return create(pretrained=True)
    except (OSError, RuntimeError) as error:  # not reachable; another digest, or no weights at all
        source = timm.get_pretrained_cfg(name)
        places = [source.url, f"https://huggingface.co/{source.hf_hub_id}"]
        addresses = " or ".join(place for place in places if place and "None" not in place)
        raise WeightsError(
            f"could not download timm's weights of {name} ({error}); fetch them elsewhere from "
            f"{addresses or 'their publisher'} and set detector.backbone.weights to the file, or "
            "to null for random weights"
        ) from error
