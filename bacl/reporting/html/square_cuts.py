"""Cut-outs of many pictures, each of which is read once."""

import numpy as np

from bacl.data.images.image_files import ImageFiles
from bacl.data.images.picture_file import PictureError
from bacl.reporting.html.data_pictures import cut_out

SIDE = 96
"""Pixels of a cut-out, as the page shows it."""


def cut_outs(files: ImageFiles, images: np.ndarray, boxes: np.ndarray) -> list[str]:
    """Addresses of squares around boxes; empty where the picture cannot be read.

    Args:
        files: the pictures.
        images: (n,) rows in their table.
        boxes: (n, 4) xywh in pixels of the files.
    """
    found = [""] * len(images)
    for image in np.unique(images).tolist():
        try:
            pixels = files.load(image).permute(1, 2, 0).numpy()
        except PictureError:  # it has been told of before the evaluation
            continue
        for place in np.flatnonzero(images == image).tolist():
            found[place] = cut_out(pixels, tuple(boxes[place].tolist()), SIDE)
    return found
