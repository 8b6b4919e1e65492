"""Pictures without annotations, found by folder, file or pattern."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from bacl.data.images.video_source import SUFFIXES
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


def _extensions() -> set[str]:
    known = Image.registered_extensions()
    return {extension for extension, name in known.items() if name in FORMATS}
