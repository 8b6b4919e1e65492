"""Any backbone of the timm library that gives feature maps of strides 4, 8, 16 and 32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.backbone import Backbone
from bacl.detectors.weights import WeightsError, read_weights

STRIDES = (4, 8, 16, 32)


class TimmBackbone(Backbone):
    """A timm `features_only` model.

    Args:
        name: timm's name of the model.
        frozen_stages: 0, or 1 to freeze the whole model.
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: a file (see `read_weights`) of the whole model, or "timm" for what timm downloads;
            None for random weights.

    Raises:
        ImportError: timm is not installed.
        ValueError: the model has no feature map of one of the strides.
        WeightsError: its weights cannot be had, are damaged, or belong to another model.
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
    if weights is None:
        return timm.create_model(name, features_only=True)
    return _downloaded(timm, name) if weights == "timm" else _from_file(timm, name, Path(weights))


def _from_file(timm: Any, name: str, path: Path) -> Any:
    source = {"state_dict": read_weights(path)}
    random = _seeded(timm, name)
    model = _seeded(timm, name, pretrained=True, pretrained_cfg_overlay=source)
    # timm takes what fits from a file and leaves the rest at random, without a word. What kept its
    # random values, drawn twice from one seed, was not in the file.
    drawn = dict(random.named_parameters())
    left = [k for k, v in model.named_parameters() if v.dim() > 1 and torch.equal(v, drawn[k])]
    if left:
        raise WeightsError(f"weights {path} do not fit timm's {name}: missing {left[:3]}")
    return model


def _seeded(timm: Any, name: str, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            return timm.create_model(name, features_only=True, **options)
        except RuntimeError as error:  # of load_state_dict: shapes
            raise WeightsError(f"weights do not fit timm's {name}: {error}") from error


def _downloaded(timm: Any, name: str) -> Any:
    timm.models.set_pretrained_check_hash(True)  # where the address carries one
    try:
        return timm.create_model(name, pretrained=True, features_only=True)
    except (OSError, RuntimeError) as error:  # not reachable; another digest, or no weights at all
        source = timm.get_pretrained_cfg(name)
        places = [source.url, f"https://huggingface.co/{source.hf_hub_id}"]
        addresses = " or ".join(place for place in places if place and "None" not in place)
        raise WeightsError(
            f"could not download timm's weights of {name} ({error}); fetch them elsewhere from "
            f"{addresses or 'their publisher'} and set detector.backbone.weights to the file, or "
            "to null for random weights"
        ) from error
