"""What every head could be had for: tail against head of the categories over a shift of scores."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bacl.evaluation.curve_comparison import areas, front
from bacl.evaluation.shift_curve import ShiftCurve
from bacl.reporting.figures.letters import legend_label
from bacl.reporting.figures.style import head_colour, head_marker, new_figure, save, styled


@styled
def draw_shift_curves(path: Path, curves: Mapping[str, ShiftCurve]) -> Path:
    """Draw the right-label share of the group with the least data against that with the most.

    A point for each shift; the large one is the head as it is. The legend tells the areas, see
    `curve_comparison.areas`.

    Args:
        path: PNG to write.
        curves: by head, of the same objects, which are of at least two groups.

    Returns:
        `path`.
    """
    figure, [[axes]] = new_figure(7.5, 6)
    under = areas({name: front(curve) for name, curve in curves.items()})
    for index, (name, curve) in enumerate(curves.items()):
        assert curve.ends is not None
        rare, frequent = (100 * curve.shares(group) for group in curve.ends)
        area = "" if np.isnan(under[name]) else f"  (area {100 * under[name]:.1f})"
        colour, marker = head_colour(index), head_marker(index)
        axes.plot(
            frequent, rare, color=colour, marker=marker, markersize=4, linewidth=1.8,
            label=f"{legend_label(name)}{area}",
        )  # fmt: skip
        axes.plot(
            frequent[0], rare[0], color=colour, marker=marker, markersize=11, linestyle="",
            clip_on=False,
        )  # fmt: skip
    tail, most = next(iter(curves.values())).ends or (None, None)
    axes.set_xlabel(f"objects with their right label: {most.name if most else ''}, percent")
    axes.set_ylabel(f"objects with their right label: {tail.name if tail else ''}, percent")
    gammas = next(iter(curves.values())).gammas
    axes.set_title(f"Scores over training images to the power of {gammas[0]:g} to {gammas[-1]:g}")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")
    return save(figure, path)
