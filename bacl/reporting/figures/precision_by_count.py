"""AP of every category against its training data: who gains, the tail or the head."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.letters import label, legend_label
from bacl.reporting.figures.style import (
    MUTED,
    head_colour,
    head_marker,
    new_figure,
    save,
    styled,
    written_out,
)
from bacl.reporting.group_colours import shades

MAX_NAMED = 60  # categories; above it only those whose AP differs most between heads are named
MOST_CHANGED = 8
BANDWIDTH = 0.15  # decades of the count
UNSEEN = 0.5  # where a category without training images stands on the logarithmic axis


@styled
def draw_ap_by_count(
    path: Path,
    average_precision: Mapping[str, ArrayLike],
    training_counts: ArrayLike,
    grouping: Grouping,
    names: Sequence[str],
) -> Path:
    """Draw AP per category over its training images or instances, with a running mean per group.

    Args:
        path: PNG to write.
        average_precision: (C,) in [0, 1] by head; -1 where a category was not evaluated.
        training_counts: (C,) what the grouping goes by: training images or instances.
        grouping: of the metric; its areas are shaded.
        names: the categories' names.

    Returns:
        `path`.
    """
    counts = np.maximum(np.asarray(training_counts, dtype=np.float64), UNSEEN)
    values = {head: np.asarray(ap, dtype=np.float64) for head, ap in average_precision.items()}
    figure, [[axes]] = new_figure(11, 6)
    axes.set_xscale("log")
    written_out(axes.xaxis)
    _shade(axes, counts, grouping)
    for index, (head, ap) in enumerate(values.items()):
        _draw_head(axes, head, index, counts * 1.02**index, ap, grouping)
    _label_axes(axes, counts, grouping)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    _name_categories(axes, list(values.values()), counts, names)
    return save(figure, path)


def mean_around(
    counts: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Running mean over the logarithm of the count, with Gaussian weights.

    Args:
        counts: (n,) positive.
        values: (n,).

    Returns:
        The U different counts in ascending order, and the mean around each of them.
    """
    unique = np.unique(counts)
    distance = (np.log10(unique)[:, None] - np.log10(counts)[None]) / BANDWIDTH
    weights = np.exp(-0.5 * distance**2)
    return unique, weights @ values / weights.sum(axis=1)


def _shade(axes: Axes, counts: NDArray[np.float64], grouping: Grouping) -> None:
    groups, shade_of = grouping.present, shades(grouping)
    extents = [(counts[g.members].min(), counts[g.members].max()) for g in groups]
    # Neighbouring groups meet half-way (on the logarithmic axis) between their extreme categories.
    inner = [(low[1] * high[0]) ** 0.5 for low, high in pairwise(extents)]
    edges = [extents[0][0] / 1.5, *inner, extents[-1][1] * 1.5]
    for group, (left, right) in zip(groups, pairwise(edges), strict=True):
        shade = shade_of[group.key]
        axes.axvspan(left, right, color=shade.tint, zorder=0, linewidth=0)
        text = f"{group.name} · {int(group.members.sum())}"
        middle = (left * right) ** 0.5
        axes.annotate(
            text, (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 5),
            textcoords="offset points", ha="center", color=shade.colour, weight="bold",
        )  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])


def _draw_head(
    axes: Axes,
    head: str,
    index: int,
    counts: NDArray[np.float64],
    ap: NDArray[np.float64],
    grouping: Grouping,
) -> None:
    evaluated = ap >= 0
    colour, marker = head_colour(index), head_marker(index)
    axes.scatter(
        counts[evaluated], 100 * ap[evaluated], color=colour, marker=marker, linewidths=0,
        s=14 if len(ap) > MAX_NAMED else 30, alpha=0.35 if len(ap) > MAX_NAMED else 0.75, zorder=2,
    )  # fmt: skip
    means = []
    for group in grouping.present:
        chosen = group.members & evaluated
        if not chosen.any():
            continue
        means.append(f"{group.key} {100 * ap[chosen].mean():.1f}")
        _draw_running_mean(axes, counts[chosen], 100 * ap[chosen], colour)
    mean = f"{100 * ap[evaluated].mean():.1f}" if evaluated.any() else "–"
    text = f"{legend_label(head)}: AP {mean}  ({' · '.join(means)})"
    axes.plot([], [], color=colour, marker=marker, linewidth=2.5, label=text)


def _draw_running_mean(
    axes: Axes, counts: NDArray[np.float64], ap: NDArray[np.float64], colour: str
) -> None:
    x, y = mean_around(counts, ap)
    # A white edge keeps the line apart from the cloud of its own colour.
    axes.plot(x, y, color="white", linewidth=5, zorder=3, solid_capstyle="round")
    axes.plot(x, y, color=colour, linewidth=2.5, zorder=4, solid_capstyle="round")


def _label_axes(axes: Axes, counts: NDArray[np.float64], grouping: Grouping) -> None:
    ticks = [
        t
        for t in (1, 10, 100, 1_000, 10_000, 100_000)
        if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]
    ]
    unseen = [UNSEEN] if (counts <= UNSEEN).any() else []
    labels = ["0"] * len(unseen) + [f"{tick:,}" for tick in ticks]
    axes.set_xticks([*unseen, *ticks], labels)
    axes.set_xlabel(
        grouping.counts(
            "training images that contain the category", "training instances of the category"
        )
    )
    axes.set_ylabel("AP of the category (%)")


def _most_changed(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Categories to name, those first whose values (heads, C) differ most; all of a few."""
    top = values.max(axis=0)
    spread = np.where((values >= 0).all(axis=0), top - values.min(axis=0), -1.0)
    limit = len(top) if len(top) <= MAX_NAMED else MOST_CHANGED
    chosen = np.argsort(-spread, kind="stable")[:limit]
    return chosen[top[chosen] >= 0]


def _name_categories(
    axes: Axes,
    values: list[NDArray[np.float64]],
    counts: NDArray[np.float64],
    names: Sequence[str],
) -> None:
    stacked = np.stack(values)
    top = stacked.max(axis=0)
    limit_y = 1.08 * max(float(top.max()), 0.05)
    axes.set_ylim(-0.02 * 100 * limit_y, 100 * limit_y)
    placed: list[tuple[float, float]] = []
    for category in _most_changed(stacked):
        # Points: 11 x 6 inches hold about 700 x 380 of them inside the axes.
        x = 700 * float(axes.transAxes.inverted().transform(
            axes.transData.transform((counts[category], 0)))[0])  # fmt: skip
        y = 380 * float(top[category]) / limit_y
        if any(abs(x - other_x) < 62 and abs(y - other_y) < 9 for other_x, other_y in placed):
            continue
        placed.append((x, y))
        axes.annotate(
            label(names[category]), (counts[category], 100 * top[category]),
            xytext=(-4, 4) if x > 640 else (4, 4), ha="right" if x > 640 else "left",
            textcoords="offset points", fontsize=7.5, color=MUTED, zorder=5,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
