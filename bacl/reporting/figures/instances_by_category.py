"""How many objects each category has, from the most frequent to the rarest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bacl.reporting.figures.letters import label
from bacl.reporting.figures.style import INK, new_figure, save, styled, written_out
from bacl.reporting.group_colours import HEAD, TAIL

GROUPS = {"f": ("frequent", HEAD), "c": ("common", TAIL[1]), "r": ("rare", TAIL[0])}
MAX_NAMED = 80
"""Categories up to which each is named."""
NONE = 0.5
"""Where a category without objects stands on the logarithmic axis."""


@styled
def draw_instances_by_category(
    path: Path,
    train: ArrayLike,
    val: ArrayLike,
    frequency: Sequence[str],
    names: Sequence[str],
) -> Path:
    """Draw a bar for the training objects of each category, and a mark for the validation's.

    Args:
        path: PNG to write.
        train: (C,) training objects.
        val: (C,) validation objects.
        frequency: C groups: r, c or f.
        names: C names.

    Returns:
        `path`.
    """
    trained, judged = np.asarray(train), np.asarray(val)
    order = np.argsort(-trained, kind="stable")
    figure, [[axes]] = new_figure(12, 5)
    _draw_bars(axes, trained[order].clip(NONE), np.asarray(frequency)[order])
    mark: dict[str, Any] = {"marker": "o", "markersize": 4, "markerfacecolor": "white"}
    heights = judged[order].clip(NONE)
    axes.plot(np.arange(len(order)), heights, linestyle="", color=INK, label="validation", **mark)
    axes.set_yscale("log")
    written_out(axes.yaxis)
    axes.set_ylim(bottom=NONE)
    axes.set_xlim(-0.7, len(order) - 0.3)
    axes.set_ylabel("objects")
    axes.set_title("Objects of each category")
    axes.grid(axis="x", visible=False)
    if len(order) <= MAX_NAMED:
        texts = [label(names[each], 18) for each in order.tolist()]
        axes.set_xticks(np.arange(len(order)), texts, rotation=90, fontsize=7.5)
    else:
        axes.set_xlabel("categories by their training objects")
    axes.legend()
    return save(figure, path)


def _draw_bars(axes: Axes, heights: np.ndarray, groups: np.ndarray) -> None:
    """Bars side by side, each in the colour of its group."""
    for key, (name, shade) in GROUPS.items():
        own = np.flatnonzero(groups == key)
        if own.size:
            text = f"{name} · {own.size} categories"
            axes.bar(own, heights[own], width=0.9, color=shade.colour, label=text)
