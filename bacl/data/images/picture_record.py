"""What was found of the pictures of a table, so that a second start need not open them again."""

import hashlib
import io
import logging
from pathlib import Path

import numpy as np

from bacl.data.images.image_files import ImageFiles
from bacl.files.atomic import UnwritableError, replacing
from bacl.files.digests import file_states

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
    stamps = np.full((num_images, 3), -1, dtype=np.int64)
    header = _header(stamps)
    try:
        # Size and kind first: the place is not trusted, and a pipe or a giant is not read.
        if file_states([path])[0][1] == len(header) + stamps.nbytes:
            content = path.read_bytes()
            if content.startswith(header):
                values = np.frombuffer(content, dtype=np.int64, offset=len(header))
                stamps[:] = values.reshape(stamps.shape)
    except (OSError, ValueError) as error:  # also where it shrinks meanwhile
        _LOG.debug("%s", error)
    return stamps


def _header(array: np.ndarray) -> bytes:
    """What NumPy writes before the values: another one describes another array."""
    written = io.BytesIO()
    description = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(written, description)
    return written.getvalue()
