"""MMDetection's checkpoint files, read without executing anything in them, and written."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.stand_ins import stand_ins
from bacl.files.kinds import FINAL, LAST, UnreadableFileError, checkpoint_kind
from bacl.files.saving import save
from bacl.files.state_dicts import no_plain_tensor
from bacl.files.torch_file import read_torch_file
from bacl.messages.shown import shown

MMDET_VERSION = "2.8.0"
"""The version whose layout we write; it is the same in all versions since 2.0."""
WRAPPERS = ("state_dict", "model")
PREFIX = "module."  # of a model that was saved inside its data-parallel wrapper


@dataclass(frozen=True)
class PublishedFile:
    """What a file holds of interest."""

    path: Path
    state: dict[str, Tensor]
    """Tensors by MMDetection's name."""
    category_names: tuple[str, ...] | None
    """In label order, where the file names them."""
    config: str = ""
    """What it was trained with, as Python text, where the file says so."""


def read_published(path: Path) -> PublishedFile:
    """Read a checkpoint of MMDetection 2.0 or later.

    Only tensors and plain values are unpickled; an optimiser's state, logs and other objects are
    passed over (`stand_ins`).

    Raises:
        CheckpointError: there is no such file, it would execute code, is no such checkpoint, or one
            of MMDetection 1.x or of a backbone in Caffe's style, which compute something else.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise CheckpointError(f"checkpoint={path}: {what}; name a published .pth file")
    return published_file(load_published_file(path), path)


def published_file(content: Any, path: Path) -> PublishedFile:
    """What `load_published_file` gave, taken apart.

    Raises:
        CheckpointError: see `read_published`.
    """
    meta = content.get("meta") if isinstance(content, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    state = _unwrapped(content, path)
    _check_conventions(state, meta, path)
    config = _text(meta, "config") or _text(meta, "cfg")  # cfg: MMDetection 3
    return PublishedFile(path, state, _category_names(meta), config)


def write_published(path: Path, state: Mapping[str, Tensor], names: tuple[str, ...]) -> None:
    """Write tensors as MMDetection does, {"meta", "state_dict"}, as a whole or not at all."""
    meta = {"mmdet_version": MMDET_VERSION, "CLASSES": names}
    save({"meta": meta, "state_dict": OrderedDict(state)}, path)


def load_published_file(path: Path) -> Any:
    """Tensors and plain values of another project's file; other objects are passed over.

    Raises:
        CheckpointError: it is damaged, or would execute code.
    """
    try:
        return read_torch_file(path, stand_ins, checksums=False)
    except UnreadableFileError as error:
        raise CheckpointError(
            f"{path}: refused, and nothing in it was executed: {error}. Take the file that was "
            "published, or have its owner save {'state_dict': …} alone"
        ) from error


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    if (kind := checkpoint_kind(content)) in (FINAL, LAST):
        raise CheckpointError(
            f"{path}: a checkpoint of this project, which is used as it is, without job=import: "
            f"{kind}"
        )
    keys = set(content) if isinstance(content, Mapping) else set()
    wrapped = [key for key in WRAPPERS if key in keys]
    state = content[wrapped[0]] if wrapped else content
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not state:
        held = [key for key in keys if isinstance(key, str)][:8] or type(content).__name__
        raise CheckpointError(f"{path}: holds no state_dict of tensors (it holds {shown(held)})")
    for key, value in state.items():
        if problem := no_plain_tensor(value):
            raise CheckpointError(f"{path}: holds no state_dict of tensors: {shown(key)} {problem}")
    if all(key.startswith(PREFIX) for key in state):
        return {key.removeprefix(PREFIX): value for key, value in state.items()}
    return dict(state)


def _check_conventions(state: Mapping[str, Tensor], meta: Mapping[str, Any], path: Path) -> None:
    """Refuse what has fitting shapes, or nearly so, but other conventions."""
    noted = _text(meta, "mmdet_version")
    version = re.match(r"\d+", noted)
    old_names = any(re.fullmatch(r"bbox_head\.(\d\.)?fc_cls\.weight", key) for key in state)
    if old_names or (version and int(version[0]) < 2):
        raise CheckpointError(
            f"{path}: of MMDetection {shown(noted or '1.x')}; before 2.0 background was "
            "the first class, boxes were a pixel wider and RoIAlign was shifted by half a pixel, "
            "and a converted file keeps the last two; take a checkpoint of version 2 or 3"
        )
    if re.search(r"style\s*=\s*['\"]caffe['\"]", _text(meta, "config")):
        raise CheckpointError(
            f"{path}: its configuration says style='caffe': a backbone with its strides in the 1x1 "
            "convolutions, on images normalised otherwise; our ResNets have them in the 3x3"
        )


def _text(meta: Mapping[str, Any], key: str) -> str:
    """A note, where it is a text."""
    return meta[key] if isinstance(meta.get(key), str) else ""


def _category_names(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    notes = meta.get("dataset_meta")  # MMDetection 3
    places = [meta, notes] if isinstance(notes, Mapping) else [meta]
    for place in places:
        for key in ("CLASSES", "classes"):
            names = place.get(key)
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                return tuple(names)
    return None
