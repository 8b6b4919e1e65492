"""The files of an instance bank: found by category, checked, and read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from bacl.data.annotations.table import AnnotationTable
from bacl.data.images.completeness import looks_complete
from bacl.data.images.picture_file import PictureError, opened
from bacl.data.selection import shortened
from bacl.messages.errors import OptionError
from bacl.processes.distributed import gather_objects, num_processes, process_rank

OPTION = "augment.train.bank.folder"
SUFFIX = ".png"
OPAQUE = 128
"""Least alpha of an object's pixel."""
ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
"""Pillow's modes with an alpha channel."""


@dataclass(frozen=True)
class CutOuts:
    """The cut-outs of a bank, ordered by category and name."""

    folder: Path
    names: list[str]
    """Relative to `folder`."""
    labels: np.ndarray
    """(n,) int64."""

    @classmethod
    def found(cls, folder: str | Path, table: AnnotationTable) -> Self:
        """Those in `<folder>/<name or id of a category>/*.png`; hidden files aside.

        A folder named like one category and with the number of another is the first one's.

        Raises:
            OptionError: there is no such folder, one in it is no category's, or has no PNG file.
        """
        place = Path(folder)
        if not place.is_dir():
            raise OptionError(f"{OPTION}={folder}: there is no such folder")
        inside = sorted(path for path in _visible(place) if path.is_dir())
        labels = _labels(place, [path.name for path in inside], table)
        files = [
            (label, f"{own.name}/{path.name}")
            for label, own in zip(labels, inside, strict=True)
            for path in _pictures(own)
        ]
        if not files:
            raise OptionError(
                f"{OPTION}={folder}: no cut-outs; they are <category>/*{SUFFIX} in it, with the "
                "category's name or id"
            )
        files.sort()
        return cls(place, [name for _, name in files], np.array([label for label, _ in files]))

    def path(self, number: int) -> Path:
        """Of a cut-out."""
        return self.folder / self.names[number]

    def summary(self) -> str:
        """How many there are."""
        number = len(np.unique(self.labels))
        return f"{self.folder}: {len(self.names):,} cut-outs of {number:,} categories"

    def check(self) -> None:
        """Look at all headers; every process must call it, and takes a share of them.

        Raises:
            PictureError: on every process, naming the files that are no cut-outs.
        """
        own = range(process_rank(), len(self.names), num_processes())
        found = gather_objects(list(self._problems(own)))
        problems = sorted(each for share in found for each in share)
        if problems:
            raise PictureError(
                f"{self.folder}: {len(problems):,} of {len(self.names):,} cut-outs cannot be used: "
                f"{shortened(problems)}; repair or remove them"
            )

    def _problems(self, numbers: Sequence[int]) -> Iterator[str]:
        for number in numbers:
            try:
                with opened(self.path(number)) as picture:
                    require_alpha(self.path(number), picture)
                    if not looks_complete(picture):
                        picture.load()
            except PictureError as error:
                yield str(error).replace(str(self.path(number)), self.names[number])


def read_cut_out(path: Path) -> Image.Image:
    """The opaque part of a cut-out, in RGBA.

    Raises:
        PictureError: the file is missing, broken, without alpha channel, or shows nothing.
    """
    with opened(path) as picture:
        require_alpha(path, picture)
        cut_out = picture.convert("RGBA")
    box = cut_out.getchannel("A").point(lambda alpha: 255 * (alpha >= OPAQUE)).getbbox()
    if box is None:
        raise PictureError(f"{path}: shows nothing, as no pixel is opaque; remove it")
    return cut_out.crop(box)


def require_alpha(path: Path, picture: Image.Image) -> None:
    """Refuse a picture that does not say where its object is.

    Raises:
        PictureError: it has no alpha channel.
    """
    if picture.mode not in ALPHA and "transparency" not in picture.info:
        raise PictureError(
            f"{path}: has no alpha channel ({picture.mode}): a cut-out's tells the object's pixels"
        )


def _labels(folder: Path, names: Sequence[str], table: AnnotationTable) -> list[int]:
    """The label of each folder's category."""
    ids = {str(each): label for label, each in enumerate(table.category_ids.tolist())}
    known = ids | {name: label for label, name in enumerate(table.category_names)}
    if wrong := [name for name in names if name not in known]:
        near = get_close_matches(wrong[0], known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise OptionError(
            f"{OPTION}={folder}: {shortened(wrong)}: no name or id of a category of "
            f"{table.source}{hint}"
        )
    return [known[name] for name in names]


def _pictures(folder: Path) -> list[Path]:
    found = [path for path in _visible(folder) if path.suffix.lower() == SUFFIX]
    if not found:
        raise OptionError(f"{OPTION}: {folder} has no cut-outs, which are *{SUFFIX}")
    return found


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
