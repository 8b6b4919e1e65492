"""Pictures in every form that a Python program has them in: all become the same pixels."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bacl.data.images.picture_file import PictureError, Reading, pixels_of, read_picture
from bacl.messages.errors import OptionError, in_one_line

Picture = str | PathLike[str] | Image.Image | np.ndarray | Tensor
"""A file's path, a Pillow image, an array (H, W, 3) or a tensor (3, H, W) of uint8 RGB."""


def pixels(picture: Picture, reading: Reading) -> Tensor:
    """(3, H, W) uint8 RGB pixels on the CPU.

    Files and Pillow images of any mode and depth are converted as `bacl.data.images.pixels.rgb`
    says, and turned as their EXIF orientation asks.

    Args:
        picture: see `Picture`.
        reading: how files and Pillow images are read.

    Raises:
        PictureError: names the file that is missing, broken or too large.
        OptionError: an array or tensor of another shape or type, or another kind of object.
    """
    if isinstance(picture, str | PathLike):
        return read_picture(Path(picture), reading)
    if isinstance(picture, Image.Image):
        return _of_image(picture, reading)
    if isinstance(picture, np.ndarray):
        _require(picture, picture.ndim == 3 and picture.shape[2] == 3, "(H, W, 3) uint8 RGB")
        return torch.from_numpy(np.array(picture, order="C")).permute(2, 0, 1)
    if isinstance(picture, Tensor):
        _require(picture, picture.ndim == 3 and picture.shape[0] == 3, "(3, H, W) uint8 RGB")
        # In memory as pictures that were read: a resize may round other orders otherwise.
        stored = picture.detach().as_subclass(Tensor).cpu()
        return stored.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    raise OptionError(
        f"a picture is a path, a Pillow image, an array or a tensor, not a {type(picture).__name__}"
    )


def _of_image(picture: Image.Image, reading: Reading) -> Tensor:
    name = getattr(picture, "filename", "") or "the Pillow image"
    if picture.width * picture.height > reading.max_pixels:
        size = f"{picture.width} x {picture.height}"
        raise PictureError(f"{name}: {size} pixels are more than {reading.max_pixels}")
    try:
        return pixels_of(picture, reading.upright(None))
    except Exception as error:  # a file that Pillow has opened is decoded here
        raise PictureError(f"{name}: cannot be read ({in_one_line(error)})") from error


def _require(picture: Any, fits: bool, expected: str) -> None:
    kind = str(picture.dtype).removeprefix("torch.")
    if not fits or kind != "uint8" or 0 in picture.shape:
        shape = tuple(picture.shape)
        raise OptionError(f"a picture of shape {shape} and type {kind}: expected {expected}")
