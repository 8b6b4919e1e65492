"""Thresholds of all categories over their training data, and what four choices of them find."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bacl.evaluation.thresholds.operating_points import OperatingPoints
from bacl.reporting.figures.letters import legend_label
from bacl.reporting.figures.precision_by_count import UNSEEN
from bacl.reporting.figures.style import (
    MUTED,
    head_colour,
    head_marker,
    new_figure,
    save,
    styled,
    written_out,
)

MOST = 4
"""Heads that are drawn, the first ones; the files have all."""
LEAST = 1e-4
"""Where the axis begins; a lower threshold lies on it."""


@styled
def draw_thresholds(
    path: Path, points: Mapping[str, OperatingPoints], training_counts: ArrayLike, unit: str
) -> Path:
    """Draw each category's threshold over its training data, and F1 of each group by choice.

    A hollow marker is a category that has its group's threshold, or that of all; a line is the
    threshold of all.

    Args:
        path: PNG to write.
        points: by head.
        training_counts: (C,) what the grouping goes by: training images or instances.
        unit: of these, in words.

    Returns:
        `path`.
    """
    shown = dict(list(points.items())[:MOST])
    figure, [axes] = new_figure(12, 5, 1, 2)
    counts = np.maximum(np.asarray(training_counts, dtype=np.float64), UNSEEN)
    for index, (head, own) in enumerate(shown.items()):
        _draw_head(axes[0], head, index, own, counts * 1.03**index)
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        written_out(axis)
    axes[0].set_ylim(LEAST, 1)
    axes[0].set_xlabel(f"training {unit} of the category")
    axes[0].set_ylabel("threshold")
    axes[0].set_title(f"Thresholds for {next(iter(points.values())).objective}")
    axes[0].legend(loc="lower right")
    _draw_f1(axes[1], shown)
    figure.legend(
        *axes[1].get_legend_handles_labels(), loc="outside lower center", fontsize=7.5,
        ncols=len(shown) if len(shown) > 1 else 4, frameon=False,
    )  # fmt: skip
    return save(figure, path)


def _draw_head(
    axes: Axes, head: str, index: int, points: OperatingPoints, counts: np.ndarray
) -> None:
    chosen, colour = points.thresholds, head_colour(index)
    for own, face in ((chosen.own, colour), (~chosen.own, "none")):
        axes.scatter(
            counts[own], np.maximum(chosen.per_category[own], LEAST), s=22,
            marker=head_marker(index), facecolors=face, edgecolors=colour, linewidths=0.8,
            alpha=0.8, clip_on=False,
        )  # fmt: skip
    text = f"{legend_label(head)}: {chosen.of_all:.2f} for all"
    axes.axhline(chosen.of_all, color=colour, linewidth=1.2, label=text)


def _draw_f1(axes: Axes, points: Mapping[str, OperatingPoints]) -> None:
    """A bar for each group, head and choice, the choices of a head side by side."""
    first = next(iter(points.values()))
    choices, groups = list(first.fitted), first.grouping.present
    width = 0.85 / (len(points) * (len(choices) + 0.5))
    for index, (head, own) in enumerate(points.items()):
        for place, (choice, fitted) in enumerate(own.fitted.items()):
            keys = [None, *(group.key for group in own.grouping.groups)]
            rows = [keys.index(group.key) for group in groups]
            left = (index * (len(choices) + 0.5) + place + 0.5) * width - 0.425
            axes.bar(
                np.arange(len(groups)) + left, 100 * fitted.of_groups(own.grouping).f1[rows],
                width * 0.9, yerr=100 * own.errors[choice][rows], error_kw={"ecolor": MUTED},
                color=head_colour(index), alpha=_depth(place, choices),
                label=f"{legend_label(head)}, {choice}",
            )  # fmt: skip
    axes.set_xticks(range(len(groups)), [group.name for group in groups])
    axes.set_ylabel("F1 (%), cross-fitted")
    axes.set_title("F1 by thresholds")
    axes.set_ylim(0, 100)


def _depth(place: int, choices: Sequence[str]) -> float:
    """How strong the colour of a choice is, from the coarsest to the finest."""
    return 0.25 + 0.75 * place / max(len(choices) - 1, 1)
