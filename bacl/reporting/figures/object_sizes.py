"""Sizes of objects as the network gets them, and of the anchors that are to find them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bacl.reporting.figures.style import MUTED, head_colour, new_figure, save, styled, written_out


@styled
def draw_object_sizes(
    path: Path, views: Sequence[Mapping[str, Any]], anchors: Sequence[float]
) -> Path:
    """Draw a histogram for each view, over the square root of the area.

    Args:
        path: PNG to write.
        views: `name`, `objects`, `edges` and `counts` of each, see `view_sizes`.
        anchors: sides in pixels of square anchors, by level; none for a detector without.

    Returns:
        `path`.
    """
    figure, [[axes]] = new_figure(9, 4.5)
    for number, view in enumerate(views):
        shares = 100 * np.array(view["counts"]) / max(view["objects"], 1)
        text = f"{view['name']} ({view['split']})"
        axes.stairs(shares, view["edges"], color=head_colour(number), linewidth=2, label=text)
    for side in anchors:
        axes.axvline(side, color=MUTED, linestyle=(0, (2, 2)), linewidth=1.2)
    if anchors:
        axes.plot([], [], color=MUTED, linestyle=(0, (2, 2)), label="anchors")
    axes.set_xscale("log", base=2)
    written_out(axes.xaxis)
    axes.set_xlabel("square root of the area in the network, pixels")
    axes.set_ylabel("share of the objects, percent")
    axes.set_title("Sizes of objects")
    axes.legend()
    return save(figure, path)
