"""A dump: what another detector's classifier sees of a data set, in a folder.

`dump.json` (`Description`), `classifier.safetensors` with the other classifier's `weight` (K, D)
and `bias` (K,), labels in the dump's order, and the shards of both splits.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import torch
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from bacl.files.atomic import replacing
from bacl.rebalance.description import FILE, Description, DumpError, Split
from bacl.rebalance.image_rows import ImageRows, naming
from bacl.rebalance.shards import Shard, shard_path, write_shard

CLASSIFIER = "classifier.safetensors"
TRAIN, VAL = "train", "val"
TOLERANCE = 1e-3
"""Largest difference of a logit from the other classifier's own, over its size or 1: products of
another number of rows are rounded otherwise."""


class Dump:
    """A dump to read; shards are opened when an image of theirs is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = Description.read(folder)
        self._open: dict[tuple[str, int], Shard] = {}
        self._places = {
            name: {image: place for place, image in enumerate(split.images)}
            for name, split in self.description.splits.items()
        }

    def __getstate__(self) -> dict[str, Path]:
        """A process that loads opens the files by itself."""
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    @cached_property
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (K, D) and bias (K,) float32 of the other classifier.

        Raises:
            DumpError: they are missing or of other shapes.
        """
        path = self.folder / CLASSIFIER
        try:
            content = load_file(path)
            weight, bias = content["weight"].float(), content["bias"].float()
        except (SafetensorError, OSError, KeyError) as error:
            raise DumpError(f"{path}: missing, damaged, or without weight and bias") from error
        rows = self.num_classes + (self.description.rule == "softmax")
        if weight.shape != (rows, self.description.feature_dim) or bias.shape != (rows,):
            raise DumpError(
                f"{path}: weight {tuple(weight.shape)} and bias {tuple(bias.shape)}, expected "
                f"({rows}, {self.description.feature_dim}) and ({rows},)"
            )
        return weight, bias

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.description.categories)

    def place(self, split: str, image_id: int) -> int | None:
        """Where an image stands in its split; None where it was not dumped."""
        return self._places[split].get(image_id)

    def image(self, split: str, place: int) -> ImageRows:
        """Rows of the image at a place of a split.

        Raises:
            DumpError: the shard is missing, damaged or of other images.
            RowsError: the image's rows do not fit together.
        """
        number, within = divmod(place, self.description.splits[split].shard)
        if (split, number) not in self._open:
            self._open[split, number] = self._shard(split, number)
        shard = self._open[split, number]
        rows = shard.image(within)
        with naming(shard.path):
            rows.check(self.num_classes, self.description.feature_dim, split == TRAIN)
        return rows

    def path(self, split: str, place: int) -> Path:
        """File of the image at a place of a split."""
        return shard_path(self.folder, split, place // self.description.splits[split].shard)

    def _shard(self, name: str, number: int) -> Shard:
        split, shard = self.description.splits[name], Shard(shard_path(self.folder, name, number))
        if shard.image_ids != [split.images[place] for place in split.of_shard(number)]:
            raise DumpError(
                f"{shard.path}: of other images than {FILE} says ({len(shard.image_ids)}); delete "
                "it and dump it again"
            )
        return shard

    def check(self, ids: Sequence[int]) -> None:
        """Compare the first image of each shard with what it should be.

        Args:
            ids: of the data's categories.

        Raises:
            DumpError: it is of other categories, a shard is missing or damaged, or the logits of an
                image are not what the classifier makes of its features.
            RowsError: rows do not fit together.
        """
        description = self.description
        if [own for own, _ in description.categories] != list(ids):
            raise DumpError(
                f"{self.folder}: a dump of {self.num_classes} categories, and the data have "
                f"{len(ids)}, or others: name the data that it was made of"
            )
        for name, split in description.splits.items():
            for number in range(split.shards):
                rows = self.image(name, number * split.shard)
                if rows.logits is not None:
                    check_logits(rows, *self.classifier)


def check_logits(rows: ImageRows, weight: Tensor, bias: Tensor) -> None:
    """Refuse features of which the classifier does not make the logits that came with them.

    Raises:
        DumpError: names the image and the largest difference.
    """
    assert rows.logits is not None
    if rows.logits.shape != (len(rows.features), len(bias)):
        raise DumpError(
            f"image {rows.image_id}: `logits` is {tuple(rows.logits.shape)}, expected "
            f"({len(rows.features)}, {len(bias)}), as the classifier has rows"
        )
    own = functional.linear(rows.features.float(), weight, bias)
    logits = rows.logits.float()
    apart = ((own - logits).abs() / logits.abs().clamp(min=1)).max() if logits.numel() else 0.0
    if not float(apart) <= TOLERANCE:
        raise DumpError(
            f"image {rows.image_id}: the classifier's weights make other logits of the dumped "
            f"features than came with them (up to {float(apart):.2g}): are these features the very "
            "input of that layer?"
        )


def write_classifier(folder: Path, name: str, weight: Tensor, bias: Tensor) -> Path:
    """Write weights into a folder as `name`, as a whole."""
    path = folder / name
    with replacing(path) as temporary:
        save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, temporary)
    return path


def missing(folder: Path, name: str, split: Split) -> list[int]:
    """Numbers of the shards of a split that have yet to be written."""
    return [n for n in range(split.shards) if not shard_path(folder, name, n).exists()]


def write_missing(
    folder: Path,
    name: str,
    split: Split,
    rows_of: Iterable[ImageRows],
    dtype: torch.dtype,
) -> None:
    """Write the shards of a split that are not there, each as a whole.

    A kill costs the shard under way: the same call goes on with the others.

    Args:
        folder: of the dump.
        name: of the split.
        split: its images.
        rows_of: the images of `missing` shards in order, computed as they are asked for.
        dtype: of features and deltas.
    """
    numbers, images = missing(folder, name, split), iter(rows_of)
    for number in track(numbers, f"dump of {name}", disable=not numbers, transient=True):
        own = [next(images) for _ in split.of_shard(number)]
        write_shard(shard_path(folder, name, number), own, dtype)


def places_missing(folder: Path, name: str, split: Split) -> Iterator[int]:
    """Places of the images whose shards have yet to be written."""
    for number in missing(folder, name, split):
        yield from split.of_shard(number)
