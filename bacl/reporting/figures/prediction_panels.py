"""One picture's detections, one panel per head."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacl.data.batch import Detections
from bacl.reporting.figures.letters import label
from bacl.reporting.figures.panel import MAX_DRAWN, DrawnBox, caption, chosen_masks, draw_panel
from bacl.reporting.figures.style import HEAD_COLOURS, new_figure, save, styled

WIDEST = 8.0
"""Inches of a panel's longer side at most; a small picture gets `NARROWEST`."""
NARROWEST = 4.4
DPI = 130


@styled
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
    height, width = image.shape[:2]
    longest = float(np.clip(max(height, width) / DPI, NARROWEST, WIDEST))
    # A very long picture keeps room for the captions.
    sides = [max(side / max(height, width) * longest, 1.5) for side in (height, width)]
    figure, [axes] = new_figure(sides[1] * len(detections), sides[0] + 0.35, 1, len(detections))
    for panel, (head, found) in zip(axes, detections.items(), strict=True):
        boxes = _boxes(found, names)
        shown = f"{MAX_DRAWN} of " if len(boxes) > MAX_DRAWN else ""
        title = f"{label(head)} · {shown}{len(boxes)} {taken}"
        draw_panel(panel, image, boxes[:MAX_DRAWN], title, longest)
    return save(figure, path, dpi=DPI)


def _boxes(found: Detections, names: Sequence[str]) -> list[DrawnBox]:
    rows = range(len(found.labels))
    return [
        DrawnBox(
            tuple(found.boxes[row].tolist()),
            caption(names[each], float(found.scores[row])),
            HEAD_COLOURS[each % len(HEAD_COLOURS)],
            mask=mask,
        )
        for row, each, mask in zip(
            rows, found.labels.tolist(), chosen_masks(found.masks, rows), strict=True
        )
    ]
