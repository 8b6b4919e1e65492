"""Cut-outs of pictures around boxes, on one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from bacl.reporting.figures.letters import label
from bacl.reporting.figures.style import HEAD_COLOURS, new_figure, save, styled

COLUMNS = 6
LONGEST = 26  # characters of a line
SIDE = 1.9  # inches of a cut-out
AROUND = 0.6  # of a box's longer side, seen on each of its sides


@dataclass(frozen=True)
class Cutout:
    """A part of a picture."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB, the whole picture."""
    box: tuple[float, float, float, float]
    """xywh in pixels."""
    caption: tuple[str, str]
    """Two lines above it; names may be in them."""


@styled
def draw_cutouts(path: Path, cutouts: Sequence[Cutout], title: str) -> Path:
    """Draw a sheet of cut-outs, row by row.

    Args:
        path: PNG to write.
        cutouts: at least one.
        title: of the sheet.

    Returns:
        `path`.
    """
    columns = min(COLUMNS, len(cutouts))
    rows = -(-len(cutouts) // columns)
    figure, axes = new_figure(SIDE * columns + 0.4, (SIDE + 0.45) * rows + 0.5, rows, columns)
    figure.suptitle(label(title), fontsize=11, fontweight="bold", x=0.01, ha="left")
    panels = [each for row in axes for each in row]
    for panel in panels:
        panel.set_axis_off()
    for panel, cutout in zip(panels, cutouts, strict=False):
        left, top, right, bottom = _seen(cutout)
        panel.imshow(
            cutout.image[top:bottom, left:right], extent=(left, right, bottom, top),
            interpolation="antialiased",
        )  # fmt: skip
        panel.add_patch(_outline(cutout.box))
        panel.set_title(
            "\n".join(label(text, LONGEST) for text in cutout.caption),
            fontsize=7,
            loc="center",
            fontweight="normal",
        )
    return save(figure, path)


def _outline(box: tuple[float, float, float, float]) -> Rectangle:
    x, y, width, height = box
    return Rectangle(
        (x, y), width, height, fill=False, edgecolor=HEAD_COLOURS[1], linewidth=1.5,
        path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.7)],
    )  # fmt: skip


def _seen(cutout: Cutout) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part that is seen, at least one pixel of the picture."""
    (high, wide), (x, y, width, height) = cutout.image.shape[:2], cutout.box
    margin = AROUND * max(width, height)
    left = int(np.clip(x - margin, 0, wide - 1))
    top = int(np.clip(y - margin, 0, high - 1))
    right = int(np.clip(np.ceil(x + width + margin), left + 1, wide))
    bottom = int(np.clip(np.ceil(y + height + margin), top + 1, high))
    return left, top, right, bottom
