"""Pretrained weights of a backbone, from a file or by their torchvision name.

The published models start from torchvision's ResNets (MMDetection 2.8 calls them
`torchvision://resnet50` and `torchvision://resnet101`), whose recipe has the name IMAGENET1K_V1
today. Their torchvision, 0.8, still served it as files of other names, such as
resnet50-19c8e357.pth; such a file can be given, too. IMAGENET1K_V2 is another, stronger recipe.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import get_weight

from bacl.files.kinds import UnreadableFileError, file_kind
from bacl.files.state_dicts import no_plain_tensor, not_finite, unusable
from bacl.files.torch_file import read_torch_file
from bacl.messages.errors import UserError
from bacl.messages.shown import shown

State = dict[str, Any]
FILES = (".pth", ".pt", ".bin", ".safetensors")
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""How torchvision and timm name files: by the first digits of their SHA-256."""
OTHERWISE = "or set detector.backbone.weights to a local file, or to null for random weights"


class WeightsError(UserError, ValueError):
    """Pretrained weights cannot be had, are damaged, or belong to another model."""


def load_weights(module: nn.Module, weights: str | None, leave_out: str) -> None:
    """Load pretrained weights into a backbone.

    Args:
        module: takes the weights; its keys are torchvision's.
        weights: path of a state dict, or torchvision's name such as
            "ResNet50_Weights.IMAGENET1K_V1", which is downloaded where torch's cache does not hold
            it yet; None leaves the module as it is.
        leave_out: keys that start with this belong to the classifier, which detectors do not have.

    Raises:
        WeightsError: they cannot be had, are damaged, or belong to another model.
    """
    if weights is None:
        return
    state = read_weights(weights_file(weights))
    state = {key: value for key, value in state.items() if not key.startswith(leave_out)}
    own = module.state_dict()
    shared = [key for key in own if key in state]
    problems = {
        "missing": [k for k in own if k not in state and not k.endswith("num_batches_tracked")],
        "unexpected": [shown(k) for k in state if k not in own],
        "of another shape": [k for k in shared if state[k].shape != own[k].shape],
        "of no use": [
            f"{k} {problem}"
            for k in shared
            if state[k].shape == own[k].shape
            and (problem := unusable(state[k], own[k], k, converts=True))
        ],
    }
    if any(problems.values()):
        told = ", ".join(f"{kind} {keys[:3]}" for kind, keys in problems.items() if keys)
        raise WeightsError(f"weights {weights} do not fit {type(module).__name__}: {told}")
    module.load_state_dict(state, strict=False)  # old files do not have num_batches_tracked


def read_weights(path: Path) -> State:
    """The state dict in a file; nothing in the file is executed.

    Where the name carries a SHA-256, as torchvision's and timm's do, the content must have it. A
    state dict may lie under the key "state_dict" or "model".

    Raises:
        WeightsError: no such file, a damaged one, or no state dict.
    """
    if not path.is_file():
        absent = "are a folder" if path.is_dir() else "do not exist"
        raise WeightsError(
            f"backbone weights {path} {absent}; give an existing file "
            f"({', '.join(FILES)}), a torchvision weights name, or null for random weights"
        )
    check_digest(path)
    state = _read(path)
    if isinstance(state, Mapping):
        inner = [state[key] for key in ("state_dict", "model") if key in state]
        state = inner[0] if inner else state
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not state:
        raise WeightsError(f"{path}: holds no state dict (names with tensors) of a backbone")
    for key, value in state.items():
        if problem := no_plain_tensor(value) or not_finite(value):
            raise WeightsError(f"{path}: holds no state dict of a backbone: {shown(key)} {problem}")
    return dict(state)


def _read(path: Path) -> Any:
    try:
        if path.suffix != ".safetensors":
            return read_torch_file(path, checksums=False)
        if told := file_kind(path):
            raise UnreadableFileError(told)
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise WeightsError(f"{path}: to read it, pip install 'bacl[timm]' ({error})") from error
    except UnreadableFileError as error:
        raise _damaged(path, error) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = shown(str(error) or type(error).__name__, 200)
    return WeightsError(
        f"{path}: damaged, not complete, or no file of weights ({reason}); delete it and fetch it "
        "again"
    )


def check_digest(path: Path) -> None:
    """Refuse a file whose content does not have the SHA-256 that its name begins to tell.

    Raises:
        WeightsError: it has another.
    """
    told = _DIGEST.search(path.name)
    if told is None:
        return
    if kind := file_kind(path):
        raise _damaged(path, UnreadableFileError(kind))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(told[1]):
        raise WeightsError(
            f"{path}: damaged or not complete ({path.stat().st_size:,} bytes): its SHA-256 begins "
            f"with {digest[: len(told[1])]}, not with {told[1]} as its name says; delete it and "
            "fetch it again"
        )


def weights_file(weights: str, whose: str = "backbone weights", otherwise: str = OTHERWISE) -> Path:
    """The file that is named, or that torch's cache holds or is sent of torchvision's weights.

    Args:
        weights: path, or torchvision's name of weights.
        whose: they are, for messages.
        otherwise: what to do where they cannot be had, for messages.

    Raises:
        WeightsError: there are no weights of this name, or they cannot be had.
    """
    return Path(weights) if _is_file(weights) else _download(weights, whose, otherwise)


def _is_file(weights: str) -> bool:
    path = Path(weights)
    return path.suffix in FILES or len(path.parts) > 1 or path.is_file()


def _download(name: str, whose: str, otherwise: str) -> Path:
    """The file of torchvision's weights `name` in torch's cache, fetched where it is missing."""
    try:
        url = get_weight(name).url
    except (ValueError, KeyError) as error:
        raise WeightsError(
            f"{whose} {name!r} are neither a file ({', '.join(FILES)}) nor torchvision "
            f"weights ({error})"
        ) from error
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if file.is_file():
        return file
    told = _DIGEST.search(file.name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # writes beside `file` and renames, so that several processes may fetch it at once
        torch.hub.download_url_to_file(url, str(file), told[1] if told else None)
    except (OSError, RuntimeError) as error:  # unreachable, or the digest is another
        raise WeightsError(
            f"could not download {url} ({error}); fetch it elsewhere and put it at {file}, "
            f"{otherwise}"
        ) from error
    return file
