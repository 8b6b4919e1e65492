"""Fig. 5 of the paper: is the classifier balanced?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import ArrayLike, NDArray

from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.letters import legend_label
from bacl.reporting.figures.style import (
    MUTED,
    head_colour,
    head_marker,
    new_figure,
    running_mean,
    save,
    styled,
    written_out,
)
from bacl.reporting.group_colours import shades


@styled
def draw_weight_norms(
    path: Path, norms: Mapping[str, ArrayLike], instance_counts: ArrayLike, grouping: Grouping
) -> Path:
    """Draw the L2 norm of every category's classifier weights, most frequent category first.

    Args:
        path: PNG to write.
        norms: (C,) L2 norms of the classifier's rows, by head.
        instance_counts: (C,) training instances of each category.
        grouping: of the metric, drawn as a strip under the axis.

    Returns:
        `path`.
    """
    counts = np.asarray(instance_counts, dtype=np.float64)
    order = np.argsort(-counts, kind="stable")
    figure, [[axes], [strip]] = new_figure(
        11, 5.5, rows=2, sharex=True, gridspec_kw={"height_ratios": [30, 1]}
    )
    _draw_counts(axes, counts[order])
    for index, (head, norm) in enumerate(norms.items()):
        _draw_head(axes, head, index, np.asarray(norm, dtype=np.float64)[order], counts[order])
    axes.set_ylabel("L2 norm of the category's weights")
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)
    axes.legend(loc="lower left", ncols=2 if len(norms) > 4 else 1)
    _draw_strip(strip, grouping, order)
    return save(figure, path)


def log_count_correlation(norm: ArrayLike, instance_counts: ArrayLike) -> float:
    """Pearson's correlation of the weight norm with log(1 + training instances), in [-1, 1].

    NaN where either is the same for every category.
    """
    values = np.asarray(norm, dtype=np.float64)
    logs = np.log1p(np.asarray(instance_counts, dtype=np.float64))
    if len(values) < 2 or values.std() == 0 or logs.std() == 0:
        return float("nan")
    return float(np.corrcoef(values, logs)[0, 1])


def _draw_counts(axes: Axes, counts: NDArray[np.float64]) -> None:
    behind = axes.twinx()
    edges = np.arange(len(counts) + 1) - 0.5
    behind.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, fill=True, color="#e9ecef")
    behind.set_yscale("log")
    written_out(behind.yaxis)
    behind.set_ylim(bottom=0.5)
    behind.set_ylabel("training instances (grey)", color=MUTED)
    behind.tick_params(axis="y", colors=MUTED)
    behind.grid(visible=False)
    behind.spines["right"].set_visible(True)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)


def _draw_head(
    axes: Axes, head: str, index: int, norm: NDArray[np.float64], counts: NDArray[np.float64]
) -> None:
    ranks = np.arange(len(norm))
    colour = head_colour(index)
    correlation = log_count_correlation(norm, counts)
    text = "undefined" if np.isnan(correlation) else f"{correlation:+.2f}"
    axes.scatter(
        ranks, norm, s=9 if len(norm) > 200 else 22, color=colour, marker=head_marker(index),
        alpha=0.35, linewidths=0,
    )  # fmt: skip
    smooth = running_mean(norm, max(1, len(norm) // 40))
    axes.plot(ranks, smooth, color="white", linewidth=4.5, zorder=3)
    axes.plot(
        ranks, smooth, color=colour, linewidth=2.2, marker=head_marker(index),
        markevery=max(1, len(ranks) // 12), zorder=4,
        label=f"{legend_label(head)}  (correlation with log instances {text})",
    )  # fmt: skip


def _draw_strip(strip: Axes, grouping: Grouping, order: NDArray[np.intp]) -> None:
    colours = {key: shade.colour for key, shade in shades(grouping).items()}
    codes = np.stack([group.members[order] for group in grouping.groups]).argmax(axis=0)
    strip.imshow(
        codes[None], aspect="auto", cmap=ListedColormap(list(colours.values())), vmin=-0.5,
        vmax=len(colours) - 0.5, interpolation="nearest", extent=(-0.5, len(order) - 0.5, 0, 1),
    )  # fmt: skip
    strip.set_yticks([])
    strip.grid(visible=False)
    for spine in strip.spines.values():
        spine.set_visible(False)
    # Beside the names of many groups there is no room in the middle.
    side: Literal["left", "center"] = "left" if len(grouping.present) > 3 else "center"
    strip.set_xlabel("categories, most training instances first", loc=side)
    for group in grouping.present:
        strip.scatter([], [], marker="s", color=colours[group.key], label=group.name)
    strip.legend(
        loc="upper right", bbox_to_anchor=(1.0, -1.6), ncols=len(grouping.present), frameon=False,
        handletextpad=0.2, columnspacing=1.0,
    )  # fmt: skip
