"""Pictures without annotations: found by folder, file or pattern, and read for detection."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors

from bacl.data.augmentation.transforms import Sample
from bacl.data.batch import Batch, Target, padded_sides
from bacl.data.collate import collate
from bacl.data.images.picture_file import PictureError, Reading, read_with_traits
from bacl.data.images.tiles import Place, Tile, Tiling
from bacl.data.images.traits import Trait
from bacl.data.images.video_source import SUFFIXES, Frame
from bacl.files.tree import FileTree
from bacl.messages.errors import OptionError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What counts as a picture among other files, in Pillow's names."""


@dataclass(frozen=True)
class FoundImages:
    """Pictures in order, by name within a folder."""

    folder: Path
    names: list[str]
    """Relative to `folder`, sorted, with forward slashes."""
    skipped: Mapping[str, int]
    """Other files and folders beside them, by what they are."""

    @cached_property
    def known_names(self) -> frozenset[str]:
        """The names, for looking up."""
        return frozenset(self.names)

    def summary(self) -> str:
        """How many pictures there are, and what else is passed over."""
        parts = ", ".join(f"{count} {kind}" for kind, count in self.skipped.items())
        return f"{len(self.names)} pictures; skipped: {parts or 'nothing'}"


@dataclass(frozen=True)
class Unreadable:
    """A file that gave no picture."""

    name: str
    reason: str


def find_images(source: str, excluded: Path | None = None) -> FoundImages:
    """The pictures that `source` names.

    Args:
        source: a folder, searched with the folders in it and those that links in it lead to; a
            file; or a pattern with * ? [ ] and **.
        excluded: a folder in which nothing is looked for: that of the results.

    Raises:
        OptionError: nothing has that name, or there is no picture.
    """
    path = Path(source)
    if path.is_file():
        return FoundImages(path.parent, [path.name], skipped={})
    tree = FileTree(excluded)
    files = tree.inside(path) if path.is_dir() else tree.matching(source)
    extensions = _extensions()
    pictures = [file for file in files if file.suffix.lower() in extensions]
    videos = sum(file.suffix.lower() in SUFFIXES for file in files)
    tree.skipped["videos, each a command of its own"] += videos
    tree.skipped["other files"] += len(files) - len(pictures) - videos
    skipped = {kind: count for kind, count in tree.skipped.items() if count}
    if not pictures:
        raise OptionError(
            f"{source}: {FoundImages(path, [], skipped).summary()}; pictures are known by their "
            f"names, which end in {', '.join(sorted(extensions))}"
        )
    folder = path
    if not path.is_dir():
        folder = Path(os.path.commonpath([picture.parent for picture in pictures]))
    names = sorted(picture.relative_to(folder).as_posix() for picture in pictures)
    return FoundImages(folder, names, skipped)


class ReadPicture(NamedTuple):
    """A transformed picture (3, H, W) uint8, its target, and what is worth telling of it."""

    image: Tensor
    target: Target
    traits: Trait
    frame: Frame | None = None
    """Of a video, as it is."""
    tiles: Sequence[Tile] = ()
    """Of a large picture, where such are asked for."""


class PictureDataset(Dataset[ReadPicture | Unreadable]):
    """Pictures with a target that says where they come from and has no objects.

    An item that cannot be read or transformed is an `Unreadable`, so that the others go on. Image
    ids are positions from 1.

    Args:
        found: the pictures.
        transform: a v2 transform of a `Sample`, that of the test.
        reading: how pictures are read; the default shows what a viewer shows.
        tiling: of large pictures, beside the whole.
    """

    def __init__(
        self,
        found: FoundImages,
        transform: nn.Module,
        reading: Reading | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.tiling = tiling
        self.found = found
        self.transform = transform
        self.reading = reading

    def __len__(self) -> int:
        return len(self.found.names)

    def __getitem__(self, index: int) -> ReadPicture | Unreadable:
        """The picture of an index, or why there is none."""
        name = self.found.names[index]
        path = self.found.folder / name
        try:
            stored, traits = read_with_traits(path, self.reading)
        except PictureError as error:
            return Unreadable(name, str(error).removeprefix(f"{path}: "))
        image, target = without_objects(stored, index + 1, self.transform)
        return ReadPicture(image, target, traits, tiles=self._tiles(stored, index + 1))

    def _tiles(self, stored: Tensor, image_id: int) -> list[Tile]:
        places = self.tiling.places(stored.shape[1], stored.shape[2]) if self.tiling else []
        return [
            Tile(*without_objects(_part(stored, place), image_id, self.transform), place)
            for place in places
        ]


@dataclass(frozen=True)
class Collated:
    """The batch of what could be read, None if nothing could; its traits; and the rest."""

    batch: Batch | None
    traits: list[Trait]
    unreadable: list[Unreadable]
    frames: list[Frame] = field(default_factory=list)
    """Where they are of a video."""
    tiles: list[Sequence[Tile]] = field(default_factory=list)
    """Of each picture of the batch."""


def collate_readable(samples: Sequence[ReadPicture | Unreadable]) -> Collated:
    """Put together what could be read of some pictures."""
    good = [sample for sample in samples if isinstance(sample, ReadPicture)]
    bad = [sample for sample in samples if isinstance(sample, Unreadable)]
    batch = collate([(sample.image, sample.target) for sample in good]) if good else None
    frames = [sample.frame for sample in good if sample.frame is not None]
    traits, tiles = [sample.traits for sample in good], [sample.tiles for sample in good]
    return Collated(batch, traits, bad, frames, tiles)


def _part(picture: Tensor, place: Place) -> Tensor:
    rows = slice(place.top, place.top + place.height)
    return picture[:, rows, place.left : place.left + place.width].contiguous()


def _extensions() -> set[str]:
    known = Image.registered_extensions()
    return {extension for extension, name in known.items() if name in FORMATS}


def without_objects(picture: Tensor, image_id: int, transform: nn.Module) -> tuple[Tensor, Target]:
    """A transformed picture (3, h, w) uint8, and a target that has no objects.

    The generators of the process are left as they are, and what a transform draws is always the
    same.

    Args:
        picture: (3, H, W) uint8.
        image_id: of the target.
        transform: a v2 transform of a `Sample`, that of the test.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        image = transform(_sample(picture))["image"].as_subclass(Tensor)
    return image, _target(image_id, image, picture)


def _sample(image: Tensor) -> Sample:
    size = (image.shape[1], image.shape[2])
    boxes = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=size)
    labels = torch.zeros(0, dtype=torch.int64)
    return {"image": tv_tensors.Image(image), "boxes": boxes, "labels": labels}


def _target(image_id: int, image: Tensor, stored: Tensor) -> Target:
    height, width = image.shape[-2:]
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(
        image_id=image_id,
        boxes=torch.zeros(0, 4),
        labels=nothing,
        size=(height, width),
        padded_size=padded_sides(height, width),
        original_size=(stored.shape[1], stored.shape[2]),
        negative=nothing,
        not_exhaustive=nothing,
    )
