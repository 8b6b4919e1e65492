"""Which pictures a file is tried on: those that are named, those of the data, or drawn ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bacl.data.builtin.files import categories
from bacl.data.builtin.scenes import SceneRules, compose, draw
from bacl.data.images.image_folder import find_images
from bacl.data.images.picture_file import Reading, read_picture
from bacl.data.images.unannotated import without_objects

SIDE = 320
LETTERS = 40
SHOWN = 10
DRAWN = SceneRules(
    image_size=SIDE, objects_per_image=(SHOWN, SHOWN), object_size=(24, 96),
    max_rotation=20, max_overlap=0.05,
)  # fmt: skip


@dataclass(frozen=True)
class TrialPictures:
    """Pictures as the network sees them."""

    images: list[Tensor]
    """(3, h, w) uint8 RGB each."""
    source: str
    """Where they come from, in words."""
    first: Path | None
    """File of the first one; None where it is none."""


def trial_pictures(
    named: str | None, folders: Sequence[str], count: int, transform: nn.Module, reading: Reading
) -> TrialPictures:
    """`count` pictures at most.

    Args:
        named: a folder, file or pattern; where there is one, it is taken.
        folders: of the validation pictures; where one of them is there, its are taken.
        count: evenly spread over what is found.
        transform: of the test.
        reading: how files are read.

    Raises:
        OptionError: there is no picture where one was named.
        PictureError: a picture cannot be read.
    """
    there = [folder for folder in folders if Path(folder).is_dir() and any(_files(folder))]
    if named is None and not there:
        images = [_seen(picture, transform) for picture in drawn(count)]
        return TrialPictures(images, f"{count} drawn pictures of letters", None)
    found = find_images(named or there[0])
    places = np.linspace(0, len(found.names) - 1, min(count, len(found.names))).round()
    paths = [found.folder / found.names[int(place)] for place in places]
    images = [_seen(read_picture(path, reading), transform) for path in paths]
    return TrialPictures(images, f"{len(paths)} pictures of {named or there[0]}", paths[0])


def drawn(count: int) -> list[Tensor]:
    """Pictures (3, 320, 320) uint8 RGB of the letters of the built-in data; always the same."""
    known, pictures = categories(LETTERS), []
    for number in range(count):
        random = np.random.default_rng(number)
        present = random.choice(LETTERS, SHOWN, replace=False)
        scene = draw(compose(DRAWN, known, present, random), SIDE, random)
        pictures.append(torch.from_numpy(np.array(scene.convert("RGB"))).permute(2, 0, 1))
    return pictures


def _files(folder: str) -> Iterator[Path]:
    return (path for path in Path(folder).rglob("*") if path.is_file())


def _seen(picture: Tensor, transform: nn.Module) -> Tensor:
    image, _ = without_objects(picture, 1, transform)
    return image
