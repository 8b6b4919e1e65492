"""Reads picture files: one rule for training, validation, prediction and figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bacl.data.images.orientation import (
    UPRIGHT,
    Fit,
    Size,
    exif_orientation,
    fit,
    sizes,
    turned,
    turns_itself,
)
from bacl.data.images.pixels import rgb
from bacl.data.images.traits import Trait, traits_of
from bacl.files.kinds import file_kind
from bacl.messages.errors import UserError

DECODERS = (
    *("JPEG", "PNG", "AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG2000", "PCX", "PPM", "SGI"),
    *("TGA", "TIFF", "WEBP"),
)
"""Formats that are read, in Pillow's names: raster images. Not EPS, which runs another program."""
MAX_PIXELS = 178_956_970
"""Pillow's own limit: larger pictures are likely a decompression bomb."""


class PictureError(UserError):
    """A picture file that is missing, broken, too large or not the one annotated."""


@dataclass(frozen=True)
class Reading:
    """How pictures are read.

    Attributes:
        orientation: "upright" or "stored": which of the two pictures is meant where a file has an
            EXIF orientation and the annotated size fits both, or there is none.
        max_pixels: larger pictures are refused.
    """

    orientation: Literal["upright", "stored"] = UPRIGHT
    max_pixels: int = MAX_PIXELS

    def upright(self, fits: Fit | None) -> bool:
        """Whether the upright picture is read, given which one has the annotated size."""
        if fits in (Fit.UPRIGHT, Fit.STORED):
            return fits is Fit.UPRIGHT
        return self.orientation == UPRIGHT


def read_picture(
    path: Path, reading: Reading | None = None, annotated: Size | None = None
) -> Tensor:
    """(3, H, W) uint8 RGB pixels of a picture file (see `bacl.data.images.pixels.rgb`).

    Of several frames or pages the first is read.

    Args:
        path: of the file, whose name says nothing of its format.
        reading: how; the default shows what a viewer shows.
        annotated: width and height that it must have.

    Raises:
        PictureError: names the file and what is wrong with it.
    """
    reading = reading or Reading()
    with opened(path, reading.max_pixels) as picture:
        return pixels_of(picture, reading.upright(checked_fit(path, picture, annotated)))


def read_with_traits(path: Path, reading: Reading | None = None) -> tuple[Tensor, Trait]:
    """The pixels as `read_picture` gives them, and what is worth telling of them.

    Traits take time: all frames of an animated picture are looked for.
    """
    reading = reading or Reading()
    with opened(path, reading.max_pixels) as picture:
        traits = traits_of(picture, None)
        return pixels_of(picture, reading.upright(None)), traits


def pixels_of(picture: Image.Image, upright: bool = True) -> Tensor:
    """(3, H, W) uint8 RGB pixels of an opened picture, upright or as stored.

    Raises:
        Exception: what a decoder raises for a broken file.
    """
    orientation, is_upright = exif_orientation(picture), turns_itself(picture)
    shown = turned(rgb(picture), orientation, is_upright, upright)
    return torch.from_numpy(np.array(shown)).permute(2, 0, 1)


def checked_fit(path: Path, picture: Image.Image, annotated: Size | None) -> Fit | None:
    """Which of a file's pictures, stored and upright, has the annotated size, if there is one.

    Raises:
        PictureError: neither has.
    """
    if annotated is None:
        return None
    stored, upright = sizes(picture, exif_orientation(picture))
    found = fit(stored, upright, annotated)
    if found is Fit.NEITHER:
        raise PictureError(
            f"{path}: is {stored[0]} x {stored[1]} pixels, not {annotated[0]} x {annotated[1]} as "
            "in the annotation file; it is not the picture annotated"
        )
    return found


class _PillowsLimit:
    """Pillow's own limit, which is one of the process and of every program in it.

    Here the limit is `Reading.max_pixels`: while a thread has a picture open, Pillow has none.
    """

    def __init__(self) -> None:
        self._lock, self._lifted, self._kept = Lock(), 0, Image.MAX_IMAGE_PIXELS

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """No limit inside the block, in any thread."""
        with self._lock:
            if not self._lifted:
                self._kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._lifted += 1
        try:
            yield
        finally:
            with self._lock:
                self._lifted -= 1
                if not self._lifted:
                    Image.MAX_IMAGE_PIXELS = self._kept


_PILLOWS_LIMIT = _PillowsLimit()


@contextmanager
def opened(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An opened picture; what its decoder raises inside the block is told with the file's name.

    Raises:
        PictureError: the file is missing, no picture, too large, or broken.
    """
    try:
        with _PILLOWS_LIMIT.lifted(), Image.open(path, formats=_decoders()) as picture:
            if picture.width * picture.height > max_pixels:
                raise PictureError(
                    f"{path}: {picture.width} x {picture.height} pixels are more than "
                    f"datamodule.max_pixels={max_pixels} allows; raise it if the file is as it "
                    "should be"
                )
            yield picture
    except PictureError:
        raise
    except Exception as error:  # a decoder may raise anything on a broken file
        raise PictureError(f"{path}: {_reason(path, error)}") from error


@cache
def _decoders() -> tuple[str, ...]:
    """Those of `DECODERS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in DECODERS if name in Image.OPEN)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"is {file_kind(path) or 'no picture of a known format'}"
    lines = str(error).splitlines()
    return f"cannot be read ({lines[0] if lines else type(error).__name__})"
