"""Shards: rows of some images in one safetensors file, from which single images are read.

Tensors of the images stand one after the other; how many rows each image has is in `rows` and, of
repeated objects, in `extra_rows`. So nothing but the rows that are asked for is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bacl.files.atomic import replacing
from bacl.messages.shown import shown
from bacl.rebalance.description import DumpError
from bacl.rebalance.image_rows import ImageRows

IDS, ROWS, EXTRA_ROWS = "image_ids", "rows", "extra_rows"
OF_EXTRA = "extra_"


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Of the shard with this number of `train` or `val`."""
    return folder / f"{split}-{number:05}.safetensors"


def write_shard(path: Path, images: Sequence[ImageRows], dtype: torch.dtype) -> None:
    """Write some images' rows, as a whole or not at all.

    Args:
        path: of the shard.
        images: with the same kinds of tensors.
        dtype: of features and deltas.
    """
    parts = [image.tensors() for image in images]
    content = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    for name in ("features", "deltas", "extra_features"):
        if name in content:
            content[name] = content[name].to(dtype)
    content[IDS] = torch.tensor([image.image_id for image in images])
    content[ROWS] = torch.tensor([len(image.features) for image in images])
    if "extra_features" in content:
        content[EXTRA_ROWS] = torch.tensor([len(part["extra_features"]) for part in parts])
    with replacing(path) as temporary:
        save_file({name: own.cpu().contiguous() for name, own in content.items()}, temporary)


class Shard:
    """A shard that is mapped, not loaded.

    Raises:
        DumpError: it is missing, damaged or no shard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DumpError(f"{path}: no such file; the dump is not complete")
        try:
            self._file = safe_open(path, framework="pt")
            self.names = set(self._file.keys()) - {IDS, ROWS, EXTRA_ROWS}
            self.image_ids = self._file.get_tensor(IDS).flatten().tolist()
            starts = {"": self._starts(ROWS)}
            if "extra_features" in self.names:
                starts[OF_EXTRA] = self._starts(EXTRA_ROWS)
        except (SafetensorError, OSError) as error:
            raise DumpError(f"{path}: damaged, or no shard ({error}); delete it") from error
        self._starts_of = starts
        self._check()

    def image(self, place: int) -> ImageRows:
        """Rows of the image at a place of the shard."""
        tensors = {name: self._rows(name, place) for name in self.names}
        return ImageRows.of(self.image_ids[place], tensors)

    def _rows(self, name: str, place: int) -> Tensor:
        starts = self._starts_of[_kind(name)]
        rows: Tensor = self._file.get_slice(name)[starts[place] : starts[place + 1]]
        return rows

    def _starts(self, name: str) -> list[int]:
        counts = self._file.get_tensor(name)
        if counts.dtype != torch.int64 or counts.ndim != 1:
            raise DumpError(f"{self.path}: `{name}` is no (images,) int64; see docs/rebalance.md")
        return np.concatenate(([0], np.cumsum(counts.numpy()))).tolist()

    def _check(self) -> None:
        images, known = len(self.image_ids), {each.name for each in fields(ImageRows)}
        if unknown := sorted(self.names - (known - {"image_id"})):
            raise DumpError(
                f"{self.path}: a tensor `{shown(unknown[0])}`, which is none of a dump's "
                "(docs/rebalance.md): leave it out"
            )
        lengths: Mapping[str, int] = {
            name: ([*self._file.get_slice(name).get_shape(), -1])[0] for name in self.names
        }
        fits = all(
            (starts := self._starts_of.get(_kind(name))) is not None
            and len(starts) == images + 1
            and length == starts[-1]
            and starts == sorted(starts)
            for name, length in lengths.items()
        )
        if not fits or not {"features", "boxes"} <= self.names:
            raise DumpError(
                f"{self.path}: its tensors are not as long as its `{ROWS}` and `{EXTRA_ROWS}` say, "
                "or features and boxes are missing; see docs/rebalance.md"
            )


def _kind(name: str) -> str:
    return OF_EXTRA if name.startswith(OF_EXTRA) else ""
