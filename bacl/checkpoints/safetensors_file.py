"""What a final.ckpt holds as a .safetensors file: bytes of tensors and a json, nothing else.

The format has no checksums: ours are in its metadata. S: name of a tensor.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bacl.files.kinds import UnreadableFileError

DETECTOR, HEADS = "detector", "heads"
DIGEST = "bacl_digest"
"""Of all tensors and of the json, blake2b."""
CONTENT = "bacl_checkpoint"
"""All that is no tensor, as json."""
EXTRA = "extra_state"
"""In it, what modules keep that is no tensor, by names like those of tensors."""


def write_safetensors(path: Path, content: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
    """Write what `save_stage` writes, as `detector.S` and `heads.NAME.S`.

    Args:
        path: file to write.
        content: as of a final.ckpt.
        notes: more for the metadata, each as json.
    """
    named = dict(_named(content))
    tensors = {
        name: value.detach().cpu().contiguous().clone()  # no two share their memory
        for name, value in named.items()
        if isinstance(value, Tensor)
    }
    rest = {key: value for key, value in content.items() if key not in (DETECTOR, HEADS)}
    rest[EXTRA] = {name: value for name, value in named.items() if name not in tensors}
    metadata = {key: json.dumps(value) for key, value in notes.items()}
    text = json.dumps(rest)
    metadata |= {CONTENT: text, DIGEST: _digest(tensors, text)}
    save_file(tensors, path, metadata)


def read_safetensors(path: Path) -> dict[str, Any]:
    """What `write_safetensors` was given, on the CPU.

    Raises:
        UnreadableFileError: it is damaged, or holds another thing than a detector of ours.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if not {CONTENT, DIGEST} <= metadata.keys():
                raise UnreadableFileError("safetensors of another project: no checkpoint of ours")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if _digest(tensors, metadata[CONTENT]) != metadata[DIGEST]:
                raise UnreadableFileError("damaged: the checksum of its content is another")
            rest = json.loads(metadata[CONTENT])
    except (SafetensorError, ValueError, RecursionError) as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise UnreadableFileError(f"damaged ({type(error).__name__})") from error
    if not isinstance(rest, dict):
        raise UnreadableFileError(f"damaged: its {CONTENT} is no table")
    extra = rest.pop(EXTRA, {})
    if not isinstance(extra, dict):
        raise UnreadableFileError(f"damaged: its {EXTRA} is no table")
    return rest | _nested(tensors | extra)


def _named(content: Mapping[str, Any]) -> Any:
    """Pairs of name and value, of all states."""
    for key, value in content[DETECTOR].items():
        yield f"{DETECTOR}.{key}", value
    for head, state in content[HEADS].items():
        for key, value in state.items():
            yield f"{HEADS}.{head}.{key}", value


def _nested(named: Mapping[str, Any]) -> dict[str, Any]:
    """The states of such names.

    Raises:
        UnreadableFileError: a name is of neither a detector nor a head.
    """
    states: dict[str, Any] = {DETECTOR: {}, HEADS: {}}
    for name, value in named.items():
        part, _, rest = name.partition(".")
        head, _, key = rest.partition(".")
        if part == DETECTOR and rest:
            states[DETECTOR][rest] = value
        elif part == HEADS and key:
            states[HEADS].setdefault(head, {})[key] = value
        else:
            raise UnreadableFileError("a tensor is of neither a detector nor a head")
    return states


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
