"""The confusion matrix that a classifier learns by, in blocks of categories."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from bacl.reporting.figures.letters import label
from bacl.reporting.figures.style import new_figure, save, styled, written_out

BLOCKS = 24
"""To a side: of 1,203 categories each is a mean over about 50 by 50."""
LEAST = 1e-4
"""Of a colour: smaller probabilities have the same."""


Rows = Callable[[NDArray], NDArray]
"""Rows (P, C) in [0, 1] of a matrix for labels (P,) int64: all of 13,204 categories are 0.7 GB."""


@styled
def draw_indicator_maps(path: Path, matrices: Mapping[str, Rows], counts: NDArray) -> Path:
    """Draw the mean probability of the categories of a column for samples of those of a row.

    Args:
        path: PNG to write.
        matrices: by classifier, one panel each.
        counts: (C,) by which categories are ordered, the largest first, and put into blocks of as
            many categories each.

    Returns:
        `path`.
    """
    figure, [axes] = new_figure(4 * len(matrices) + 1.4, 4.4, 1, len(matrices))
    for panel, (name, matrix) in zip(axes, matrices.items(), strict=True):
        means, first = blocks(matrix, counts)
        image = panel.imshow(
            np.maximum(means, LEAST), cmap="viridis", norm=LogNorm(LEAST, 1),
            interpolation="nearest",
        )  # fmt: skip
        panel.set_title(label(name))
        _name(panel, counts[first])
    axes[0].set_ylabel("category of the samples, by its training instances")
    figure.supxlabel("category that the probability is of", fontsize=10)
    written_out(figure.colorbar(image, ax=axes, label="mean probability", shrink=0.8).ax.yaxis)
    return save(figure, path)


def blocks(matrix: Rows, counts: NDArray) -> tuple[NDArray, NDArray]:
    """Means (B, B) over blocks of categories, the most frequent first, and the first of each (B,).

    The diagonal, by which classes are right, is in the mean of its block.
    """
    order = np.argsort(-counts, kind="stable")
    starts = np.unique(np.linspace(0, len(order), BLOCKS, endpoint=False).astype(int))
    sizes = np.diff([*starts, len(order)])
    sums = [
        np.add.reduceat(matrix(labels)[:, order].sum(axis=0, dtype=float), starts)
        for labels in np.split(order, starts[1:])
    ]
    return np.stack(sums) / np.outer(sizes, sizes), order[starts]


def _name(axes: Axes, counts: NDArray) -> None:
    axes.grid(visible=False)
    places = range(0, len(counts), max(1, len(counts) // 8))
    texts = [f"{int(counts[place]):,}" for place in places]
    axes.set_xticks(list(places), texts, rotation=90, fontsize=7)
    axes.set_yticks(list(places), texts, fontsize=7)
