"""Whether a picture file goes on to its end, told without reading its pixels."""

import os
from typing import Any, BinaryIO

from PIL import Image

_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
"""What stands at the end of a whole file."""
_TAIL = 4096
"""Bytes at the end that are searched: some programs write more behind the picture."""
_TIFF_PLACES = ((273, 279), (324, 325))
"""Tags: places and lengths of strips, and of tiles."""


def looks_complete(picture: Image.Image) -> bool:
    """Whether an opened picture's file seems whole; where not, reading its pixels tells for sure.

    JPEG and PNG have a mark at their end, TIFF says where its pixels lie. Other formats are taken
    to be whole.
    """
    file: Any = getattr(picture, "fp", None)
    if file is None:
        return True
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    mark = _ENDS.get(picture.format or "")
    whole = _has_mark(file, size, mark) if mark else _tiff_end(picture) <= size
    file.seek(position)
    return whole


def _has_mark(file: BinaryIO, size: int, mark: bytes) -> bool:
    file.seek(max(0, size - _TAIL))
    return mark in file.read()


def _tiff_end(picture: Image.Image) -> int:
    """Position behind the last pixels of a TIFF; 0 for another picture."""
    tags = getattr(picture, "tag_v2", {})
    ends = [0]
    for places, lengths in _TIFF_PLACES:
        pairs = zip(tags.get(places, ()), tags.get(lengths, ()), strict=False)
        ends += [place + length for place, length in pairs]
    return max(ends)
