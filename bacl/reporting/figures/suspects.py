"""Examples of what was found, side by side: pictures with the boxes in question."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacl.reporting.figures.panel import DrawnBox, draw_panel
from bacl.reporting.figures.style import new_figure, save, styled

WIDE = 2.9
"""Inches of a panel."""


@dataclass(frozen=True)
class Suspect:
    """A picture in which something was found."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    boxes: Sequence[DrawnBox]
    title: str


@styled
def draw_suspects(path: Path, rows: Sequence[tuple[str, Sequence[Suspect]]]) -> Path:
    """Draw a row of pictures for each finding, its name before them.

    Args:
        path: .jpg or .png to write.
        rows: names and pictures, at least one each.

    Returns:
        `path`.
    """
    columns = max(len(suspects) for _, suspects in rows)
    figure, axes = new_figure(WIDE * columns + 0.6, (WIDE + 0.2) * len(rows), len(rows), columns)
    for line, (name, suspects) in zip(axes, rows, strict=True):
        for panel in line:
            panel.set_axis_off()
        for panel, suspect in zip(line, suspects, strict=False):
            draw_panel(panel, suspect.image, suspect.boxes, suspect.title, WIDE)
        line[0].text(
            -0.06, 0.5, name, transform=line[0].transAxes, rotation=90, ha="right", va="center",
            fontsize=9, weight="bold",
        )  # fmt: skip
    return save(figure, path, dpi=110)
