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
CONTEXT = 0.25
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

    Where the square reaches beyond the image it is grey.
    """
    x, y, width, height = box
    reach = max(width, height, 1.0) * (0.5 + CONTEXT)
    left, top = round(x + width / 2 - reach), round(y + height / 2 - reach)
    square = Image.new("RGB", (max(1, round(2 * reach)),) * 2, GREY)
    square.paste(Image.fromarray(image), (-left, -top))
    return _source(square.resize((side, side)))


def _source(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, FORMAT, quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
