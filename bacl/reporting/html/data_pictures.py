"""Pictures inside of the page: re-encoded, no larger than they are shown."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

QUALITY = 72
FORMAT = "WEBP"
"""A third smaller than JPEG at the same sight; every browser of this decade shows it."""
GREY = (128, 128, 128)
CONTEXT = 0.2
"""Of a box's longer side, around a cut-out."""


@dataclass(frozen=True, slots=True)
class DataPicture:
    """A picture as an address that holds it."""

    source: str
    """data:image/webp;base64,…"""
    width: int
    height: int
    scale: float
    """Its pixels for one of the file."""


def data_picture(image: np.ndarray, side: int) -> DataPicture:
    """A picture (H, W, 3) uint8, its longer side at most `side` pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(image)
    if scale < 1:
        picture = picture.resize(size, Image.Resampling.BOX if scale < 0.5 else None)
    return DataPicture(_source(picture), *size, scale)


def cut_out(image: np.ndarray, box: tuple[float, float, float, float], side: int) -> str:
    """Address of a square of `side` pixels around a box (xywh in pixels of the image (H, W, 3)).

    The square is moved into the image; where it is larger than that, the rest is grey.
    """
    x, y, width, height = box
    length = max(1, round(max(width, height) * (1 + 2 * CONTEXT)))
    left = _inside(x + width / 2, length, image.shape[1])
    top = _inside(y + height / 2, length, image.shape[0])
    scale = side / length
    # A box may be much larger than its picture: what is cut is no larger than either.
    seen = image[max(0, top) : top + length, max(0, left) : left + length]
    size = max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale))
    square = Image.new("RGB", (side, side), GREY)
    corner = round(max(0, -left) * scale), round(max(0, -top) * scale)
    square.paste(Image.fromarray(seen).resize(size), corner)
    return _source(square)


def _inside(centre: float, length: int, limit: int) -> int:
    """Where a stretch around `centre` begins, moved into [0, limit], or around all of it."""
    if length > limit:
        return (limit - length) // 2
    return round(min(max(centre - length / 2, 0), limit - length))


def _source(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, FORMAT, quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
