"""What was found of the pictures of a table, so that a second start need not open them again."""

import hashlib
import logging
from pathlib import Path

import numpy as np

from bacl.atomic import UnwritableError, replacing
from bacl.data.images import ImageFiles

_LOG = logging.getLogger(__name__)
_LAYOUT = 1

UNKNOWN = (-1, -1, -1)
"""Stamp of a picture that was not found good."""
Stamp = tuple[int, int, int]
"""Bytes and time of change in ns of a good picture's file, and its traits."""


class PictureRecord:
    """(I, 3) int64 stamps beside the annotation table: for its folders, limits and links alone.

    A record that is missing or damaged says nothing; one that cannot be written is done without.
    """

    def __init__(self, files: ImageFiles) -> None:
        table = files.table
        key = (_LAYOUT, [str(path.resolve()) for path in files.folders], files.reading.max_pixels)
        digest = hashlib.blake2b(repr((*key, files.outside_links)).encode(), digest_size=6)
        name = f"{table.folder.name}-{digest.hexdigest()}"
        self.path = table.folder.with_name(f"{name}.pictures.npy")
        self.bad = table.folder.with_name(f"{name}.unusable.txt")
        """For the names of pictures that cannot be used."""
        self.stamps = _read(self.path, table.num_images)

    def save(self) -> None:
        """Write the stamps."""
        try:
            with replacing(self.path) as temporary:
                np.save(temporary, self.stamps)
        except UnwritableError as error:
            _LOG.debug("%s", error)

    def list_bad(self, names: list[str]) -> bool:
        """Write names to `bad`, one a line; returns whether that was possible."""
        try:
            with replacing(self.bad) as temporary:
                temporary.write_text("\n".join(names) + "\n", encoding="utf-8")
        except (UnwritableError, UnicodeEncodeError) as error:
            _LOG.debug("%s", error)
            return False
        return True


def _read(path: Path, num_images: int) -> np.ndarray:
    try:
        stamps = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.full((num_images, 3), -1, dtype=np.int64)
    fits = stamps.shape == (num_images, 3) and stamps.dtype == np.int64
    return stamps if fits else np.full((num_images, 3), -1, dtype=np.int64)
