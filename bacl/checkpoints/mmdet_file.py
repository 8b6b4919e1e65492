"""MMDetection's checkpoint files, read without executing anything in them, and written."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.saving import save

MMDET_VERSION = "2.8.0"
"""The version whose layout we write; it is the same in all versions since 2.0."""
NUMBERS = ("bool", "int32", "int64", "float32", "float64")
WRAPPERS = ("state_dict", "model")
PREFIX = "module."  # of a model that was saved inside its data-parallel wrapper

UNREADABLE = (
    *(UnpicklingError, EOFError, OSError, RuntimeError),
    *(LookupError, ValueError, TypeError),
)
"""What torch.load raises for a file that is none of its own, is damaged, or would execute code."""


@dataclass(frozen=True)
class PublishedFile:
    """What a file holds of interest."""

    path: Path
    state: dict[str, Tensor]
    """Tensors by MMDetection's name."""
    category_names: tuple[str, ...] | None
    """In label order, where the file names them."""


def read_published(path: Path) -> PublishedFile:
    """Read a checkpoint of MMDetection 2.0 or later.

    Only tensors, plain values and numpy's scalars are unpickled; an optimiser's state and the notes
    in "meta" are passed over.

    Raises:
        CheckpointError: there is no such file, it would execute code, is no such checkpoint, or one
            of MMDetection 1.x or of a backbone in Caffe's style, which compute something else.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint={path}: no such file; name a published .pth file")
    content = _load(path)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    state = _unwrapped(content, path)
    _check_conventions(state, meta, path)
    return PublishedFile(path, state, _category_names(meta))


def write_published(path: Path, state: Mapping[str, Tensor], names: tuple[str, ...]) -> None:
    """Write tensors as MMDetection does, {"meta", "state_dict"}, as a whole or not at all."""
    meta = {"mmdet_version": MMDET_VERSION, "CLASSES": names}
    save({"meta": meta, "state_dict": OrderedDict(state)}, path)


def _harmless() -> list[Any]:
    """What numpy scalars are made of: they construct numbers and nothing else."""
    scalar = np.float64(0).__reduce__()[0]  # its module is private, and moved in numpy 2
    places = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = [type(np.dtype(name)) for name in NUMBERS]
    return [*((scalar, place) for place in places), np.dtype, *kinds]


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path}: refused, and nothing in it was executed: {_reason(error)}. If you trust its "
            'origin, strip it where you trust the machine to execute it: python -c "import torch; '
            f"file = torch.load('{path.name}', map_location='cpu', weights_only=False); "
            "torch.save({'state_dict': file['state_dict']}, 'stripped.pth')\""
        ) from error


def _reason(error: Exception) -> str:
    """The object that the file asks for, or what else torch complains of."""
    asked = re.search(r"(?:Unsupported global: GLOBAL|Unsupported class|GLOBAL) (\S+)", str(error))
    if asked:
        return f"it holds {asked.group(1)}, which is neither a tensor nor a plain value"
    first = str(error).strip().splitlines()
    return f"it is damaged or no torch file ({first[0] if first else type(error).__name__})"


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    wrapped = [key for key in WRAPPERS if isinstance(content, Mapping) and key in content]
    state = content[wrapped[0]] if wrapped else content
    tensors = isinstance(state, Mapping) and all(isinstance(x, Tensor) for x in state.values())
    if not tensors or not state:
        held = list(content)[:8] if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"{path}: holds no state_dict of tensors (it holds {held}); a checkpoint of ours is "
            "used as it is, without job=import"
        )
    if all(key.startswith(PREFIX) for key in state):
        return {key.removeprefix(PREFIX): value for key, value in state.items()}
    return dict(state)


def _check_conventions(state: Mapping[str, Tensor], meta: Mapping[str, Any], path: Path) -> None:
    """Refuse what has fitting shapes, or nearly so, but other conventions."""
    version = re.match(r"\d+", str(meta.get("mmdet_version", "")))
    old_names = any(re.fullmatch(r"bbox_head\.(\d\.)?fc_cls\.weight", key) for key in state)
    if old_names or (version and int(version[0]) < 2):
        raise CheckpointError(
            f"{path}: of MMDetection {meta.get('mmdet_version', '1.x')}; before 2.0 background was "
            "the first class, boxes were a pixel wider and RoIAlign was shifted by half a pixel, "
            "and a converted file keeps the last two; take a checkpoint of version 2 or 3"
        )
    if re.search(r"style\s*=\s*['\"]caffe['\"]", str(meta.get("config", ""))):
        raise CheckpointError(
            f"{path}: its configuration says style='caffe': a backbone with its strides in the 1x1 "
            "convolutions, on images normalised otherwise; our ResNets have them in the 3x3"
        )


def _category_names(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    notes = meta.get("dataset_meta")  # MMDetection 3
    places = [meta, notes] if isinstance(notes, Mapping) else [meta]
    for place in places:
        for key in ("CLASSES", "classes"):
            names = place.get(key)
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                return tuple(names)
    return None
