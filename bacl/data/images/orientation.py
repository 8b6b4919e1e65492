"""EXIF orientation: how a picture as stored becomes the picture that a viewer shows.

A file may ask viewers to turn or mirror it (tag 0x0112, 1 to 8). Annotation tools differ: most show
the upright picture and annotate that, some annotate the stored pixels. The annotated size tells
which, except for half turns, mirrors and squares.
"""

import struct
from enum import Enum
from typing import Final

from PIL import Image
from PIL.Image import Transpose

TAG = 0x0112
UPRIGHT: Final = "upright"
Size = tuple[int, int]
"""Width and height, as Pillow has it."""

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""From stored to upright."""
_BACK = _TURNS | {6: Transpose.ROTATE_90, 8: Transpose.ROTATE_270}


class Fit(Enum):
    """Which picture has the annotated size: the upright one, the stored one, both or neither."""

    UPRIGHT = UPRIGHT
    STORED = "stored"
    BOTH = "both"
    NEITHER = "neither"


def exif_orientation(picture: Image.Image) -> int:
    """1 to 8 of an opened picture, before its pixels are read; 1 where there is nothing to turn."""
    try:
        # Not the method of a PNG, which decodes the picture to look behind it too.
        value = Image.Image.getexif(picture).get(TAG, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, OSError, struct.error):
        return 1  # a viewer passes over EXIF that is garbage
    return value if isinstance(value, int) and value in _TURNS else 1


def sizes(picture: Image.Image, orientation: int) -> tuple[Size, Size]:
    """The stored and the upright size of an opened picture."""
    size, swapped = picture.size, picture.size[::-1]
    if orientation < 5:
        return size, size
    return (swapped, size) if turns_itself(picture) else (size, swapped)


def fit(stored: Size, upright: Size, annotated: Size) -> Fit:
    """Which of the two pictures has the annotated size."""
    if stored == upright:
        return Fit.BOTH if annotated == stored else Fit.NEITHER
    return {stored: Fit.STORED, upright: Fit.UPRIGHT}.get(annotated, Fit.NEITHER)


def turns_itself(picture: Image.Image) -> bool:
    """Whether Pillow gives the upright pixels, as it does of a TIFF alone."""
    return picture.format == "TIFF"


def turned(pixels: Image.Image, orientation: int, is_upright: bool, upright: bool) -> Image.Image:
    """The upright or the stored picture, from pixels that are upright or stored."""
    if orientation == 1 or is_upright == upright:
        return pixels
    return pixels.transpose((_TURNS if upright else _BACK)[orientation])
