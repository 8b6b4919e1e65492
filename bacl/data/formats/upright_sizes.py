"""Pictures of a folder, and their sizes, from their headers."""

from pathlib import Path

from bacl.data.images.image_folder import find_images
from bacl.data.images.orientation import exif_orientation, sizes
from bacl.data.images.picture_file import opened


def pictures_in(folder: Path) -> list[Path]:
    """All pictures in a folder and those inside it, by name."""
    found = find_images(str(folder))
    return [found.folder / name for name in found.names]


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height as a viewer shows it, in pixels.

    Raises:
        PictureError: the file is missing or no picture.
    """
    return both_sizes(path)[1]


def both_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height as stored, and as a viewer shows it, in pixels.

    Raises:
        PictureError: the file is missing or no picture.
    """
    with opened(path) as picture:
        return sizes(picture, exif_orientation(picture))
