"""One picture's detections, one panel per head, as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bacl.data.batch import Detections
from bacl.files.atomic import replacing
from bacl.reporting.figures.picture_drawing import drawn

QUALITY = 90
"""Of JPEG files."""


def draw_predictions(
    path: Path,
    image: NDArray[np.uint8],
    detections: Mapping[str, Detections],
    names: Sequence[str],
    taken: str,
) -> Path:
    """Draw boxes, and masks where there are any, in a colour of their category.

    Args:
        path: .jpg or .png to write.
        image: (H, W, 3) RGB.
        detections: of every head, in pixels of the image; the best of them are drawn.
        names: the categories' names, by label.
        taken: by what detections were chosen, such as "with score ≥ 0.5", for the titles.

    Returns:
        `path`.
    """
    picture = Image.fromarray(drawn(image, detections, names, taken))
    with replacing(path) as temporary:
        picture.save(temporary, quality=QUALITY)
    return path
