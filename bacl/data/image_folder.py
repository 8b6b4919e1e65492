"""Pictures without annotations: found by folder, file or pattern, and read for detection."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors

from bacl.data.batch import Batch, Target, padded_sides
from bacl.data.collate import collate
from bacl.data.images import read_upright
from bacl.data.transforms import Sample
from bacl.errors import OptionError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What counts as a picture among other files, in Pillow's names."""


@dataclass(frozen=True)
class FoundImages:
    """Pictures in order, by name within a folder."""

    folder: Path
    names: list[str]
    """Relative to `folder`, sorted, with forward slashes."""
    skipped: int
    """Other files beside them."""


@dataclass(frozen=True)
class Unreadable:
    """A file that gave no picture."""

    name: str
    reason: str


def find_images(source: str, excluded: Path | None = None) -> FoundImages:
    """The pictures that `source` names.

    Args:
        source: a folder, searched with the folders in it; a file; or a pattern with * ? [ ] and **.
        excluded: a folder in which nothing is looked for: that of the results.

    Raises:
        OptionError: nothing has that name, or there is no picture.
    """
    path = Path(source)
    if path.is_file():
        return FoundImages(path.parent, [path.name], skipped=0)
    files = _inside(path) if path.is_dir() else _matching(source)
    own = None if excluded is None else excluded.absolute()
    outside = [file for file in files if own not in file.absolute().parents]
    extensions = _extensions()
    pictures = [file for file in outside if file.suffix.lower() in extensions]
    if not pictures:
        raise OptionError(
            f"{source}: holds no picture, {len(outside)} other files; pictures are known by their "
            f"names, which end in {', '.join(sorted(extensions))}"
        )
    folder = path if path.is_dir() else Path(os.path.commonpath([p.parent for p in pictures]))
    names = sorted(picture.relative_to(folder).as_posix() for picture in pictures)
    return FoundImages(folder, names, len(outside) - len(pictures))


class PictureDataset(Dataset[tuple[Tensor, Target] | Unreadable]):
    """Pictures with a target that says where they come from and has no objects.

    An item that cannot be read or transformed is an `Unreadable`, so that the others go on. Image
    ids are positions from 1.

    Args:
        found: the pictures.
        transform: a v2 transform of a `Sample`, that of the test.
    """

    def __init__(self, found: FoundImages, transform: nn.Module) -> None:
        self.found = found
        self.transform = transform

    def __len__(self) -> int:
        return len(self.found.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Target] | Unreadable:
        """The transformed picture (3, H, W) uint8 and its target."""
        name = self.found.names[index]
        try:
            stored = read_upright(self.found.folder / name)
        except Exception as error:  # a decoder may raise anything on a broken file
            text = str(error).splitlines()
            return Unreadable(name, text[0] if text else type(error).__name__)
        image = self.transform(_without_objects(stored))["image"].as_subclass(Tensor)
        return image, _target(index + 1, image, stored)


def collate_readable(
    samples: Sequence[tuple[Tensor, Target] | Unreadable],
) -> tuple[Batch | None, list[Unreadable]]:
    """The batch of what could be read, None if nothing could, and the rest."""
    good = [sample for sample in samples if not isinstance(sample, Unreadable)]
    bad = [sample for sample in samples if isinstance(sample, Unreadable)]
    return (collate(good) if good else None), bad


def _inside(folder: Path) -> Iterator[Path]:
    """Visible files of a folder and of those in it."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _matching(pattern: str) -> list[Path]:
    # Path.glob refuses absolute patterns.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    files = [path for path in map(Path, names) if path.is_file()]
    if not files:
        raise OptionError(f"{pattern}: no such file or folder, and no file matches it as a pattern")
    return files


def _extensions() -> set[str]:
    known = Image.registered_extensions()
    return {extension for extension, name in known.items() if name in FORMATS}


def _without_objects(image: Tensor) -> Sample:
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
