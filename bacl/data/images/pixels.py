"""Eight bits of red, green and blue, whatever a picture file holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

BITS = (8, 10, 12, 14, 16, 24, 31)
"""Depths of cameras, scanners and microscopes; deeper files rarely say which they have."""
MAX_SAMPLE_VALUE = 281
"""TIFF's tag."""
_PNG_HEADER = 4096
"""Bytes in which a PNG says how many bits of its samples mean something."""


def is_deep(picture: Image.Image) -> bool:
    """Whether a picture has integers of more than 8 bits, or floating-point numbers."""
    return picture.mode.startswith(("I", "F"))


def rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB of a picture of any mode; of several frames or pages, the one it is at.

    Grey is repeated, palettes are looked up, CMYK and YCbCr converted, transparency is dropped.
    Deeper samples keep the highest 8 bits of their range, for Pillow's own conversion makes all
    but the darkest 256 values white. The range is what the file declares (Netpbm's, a PNG's sBIT,
    TIFF's MaxSampleValue), else the smallest of `BITS` that holds the picture's values: 12-bit
    values in a 16-bit file are not black. Floating-point numbers in [0, 1] are shares of white,
    in [0, 255] they are taken as they are, larger ones as integers. What is negative or not
    finite is black. Colours of 16 bits keep their high byte.

    Raises:
        Exception: what a decoder raises for a broken file.
    """
    if is_deep(picture):
        declared = _declared_bits(picture)
        picture = Image.fromarray(eight_bits(np.asarray(picture), declared))
    return picture.convert("RGB")


def eight_bits(values: np.ndarray, declared: int = 0) -> np.ndarray:
    """uint8 of deeper samples of any shape; `declared` bits at least, as in `rgb`."""
    if not np.issubdtype(values.dtype, np.floating):
        return _high_bits(values.clip(0).astype(np.int64), declared)
    finite = np.where(np.isfinite(values), values.astype(np.float64), 0)
    finite = finite.clip(0, 2.0 ** BITS[-1] - 1)
    if finite.size and finite.max() <= 1:
        finite = finite * 255
    return _high_bits(np.rint(finite).astype(np.int64), declared)


def _high_bits(values: np.ndarray, declared: int) -> np.ndarray:
    largest = int(values.max()) if values.size else 0
    needed = max(declared, largest.bit_length())
    bits = next((each for each in BITS if each >= needed), BITS[-1])
    return (values >> (bits - 8)).astype(np.uint8)


def _declared_bits(picture: Image.Image) -> int:
    """Bits of the range that the file declares; 0 where it does not, or has been read already."""
    if picture.format == "PPM":  # Pillow has scaled its range to 16 bits
        return 16
    if picture.format == "PNG":  # by its specification, samples that say so fill the range
        return 16 if _says_bits(picture) else 0
    tags: Mapping[int, Any] = getattr(picture, "tag_v2", {})
    most = tags.get(MAX_SAMPLE_VALUE, 0)
    most = most[0] if isinstance(most, tuple) and most else most
    return most.bit_length() if isinstance(most, int) else 0


def _says_bits(picture: Image.Image) -> bool:
    """Whether a PNG has a chunk sBIT before its pixels; Pillow passes over it."""
    file = getattr(picture, "fp", None)
    if file is None:
        return False
    position = file.tell()
    file.seek(0)
    header = file.read(_PNG_HEADER).partition(b"IDAT")[0]
    file.seek(position)
    return b"sBIT" in header
