"""Pretrained weights of a backbone, from a file or by their torchvision name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import get_weight


def load_weights(module: nn.Module, weights: str | None, leave_out: str) -> None:
    """Load pretrained weights into a backbone.

    Args:
        module: takes the weights; its keys are torchvision's.
        weights: path of a state dict (.pth, .pt), or torchvision's name such as
            "ResNet50_Weights.IMAGENET1K_V1"; None leaves the module as it is.
        leave_out: keys that start with this belong to the classifier, which detectors do not have.

    Raises:
        FileNotFoundError: no such file.
        ValueError: torchvision has no such weights, or they belong to another model.
        RuntimeError: the download failed; says which file to put where.
    """
    if weights is None:
        return
    state = _read(weights) if Path(weights).suffix in {".pth", ".pt"} else _download(weights)
    missing, unexpected = module.load_state_dict(state, strict=False)
    unexpected = [key for key in unexpected if not key.startswith(leave_out)]
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(
            f"weights {weights} do not fit {type(module).__name__}: "
            f"missing {missing[:3]}, unexpected {unexpected[:3]}"
        )


def _read(path: str) -> Mapping[str, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"backbone weights {path} do not exist; give an existing file, a torchvision weights "
            "name, or null for random weights"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _download(name: str) -> Mapping[str, Any]:
    try:
        weights = get_weight(name)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"backbone weights {name!r} are neither a .pth file nor torchvision weights ({error})"
        ) from error
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise RuntimeError(
            f"could not download {weights.url} ({error}); fetch it elsewhere and put it at {file}, "
            "or set detector.backbone.weights to a local file, or to null for random weights"
        ) from error
