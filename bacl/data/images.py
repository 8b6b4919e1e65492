"""From an image record to pixels: where the file lies and what may be wrong with it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bacl.data.lvis import find_image
from bacl.data.table import AnnotationTable


class ImageFiles:
    """The images of an annotation table.

    Pixels are RGB whatever the file holds (see `rgb`). They are taken as stored; an EXIF rotation
    is applied only where the stored picture has not the size that the annotation file gives.

    Args:
        table: the annotation table.
        folders: the folder with the images, or several.
    """

    def __init__(self, table: AnnotationTable, folders: str | Path | Sequence[str | Path]) -> None:
        several = [folders] if isinstance(folders, str | Path) else folders
        self.table = table
        self.folders = [Path(folder) for folder in several]

    def load(self, image: int) -> Tensor:
        """(3, H, W) uint8 pixels of row `image`, of the size in the annotation file.

        Raises:
            FileNotFoundError: the file lies in none of the folders.
            OSError: the file is cut off or no image.
            ValueError: the picture has another size than the annotation file says.
        """
        path = self.path(image)
        try:
            with Image.open(path) as file:
                picture = rgb(self._upright(file, image))
        except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG a syntax error
            raise OSError(
                f"{path}: cannot be read ({error}); it is image {self._name(image)}. "
                "Copy the file again, or take the image out of the annotation file"
            ) from error
        height, width = self.table.image_sizes[image].tolist()
        if picture.size != (width, height):
            raise ValueError(
                f"{path}: is {picture.width} x {picture.height} pixels, but image "
                f"{self._name(image)} is {width} x {height}; the file is not the one annotated"
            )
        return _pixels(picture)

    def path(self, image: int) -> Path:
        """The file of row `image`."""
        try:
            return find_image(self.folders, self.table.file_name(image))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}; it is image {self._name(image)}. Set the folder that holds the images"
            ) from None

    def _upright(self, picture: Image.Image, image: int) -> Image.Image:
        height, width = self.table.image_sizes[image].tolist()
        if picture.size == (width, height):
            return picture
        return ImageOps.exif_transpose(picture)

    def _name(self, image: int) -> str:
        return f"{self.table.image_ids[image]} of {self.table.source}"


def read_upright(path: Path) -> Tensor:
    """(3, H, W) uint8 pixels of a picture as a viewer shows it: with its EXIF rotation, if any.

    Raises:
        Exception: whatever Pillow's decoders raise for a file that is broken, too large or no
            picture.
    """
    with Image.open(path) as file:
        return _pixels(rgb(ImageOps.exif_transpose(file)))


def rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB of a picture of any mode: grey, palette, CMYK; transparency is dropped.

    16-bit grey keeps its high byte, as decoders do with 16-bit colours; Pillow's own conversion
    makes all but its darkest 256 values white.
    """
    if picture.mode.startswith("I"):
        values = np.asarray(picture).clip(0, 2**16 - 1).astype(np.uint16)
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    return picture.convert("RGB")


def _pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
