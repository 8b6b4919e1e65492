"""Which categories objects are called by, of the categories that are confused most."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bacl.evaluation.errors.category_confusion import Confusion
from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.letters import label
from bacl.reporting.figures.style import new_figure, save, styled
from bacl.reporting.group_colours import shades

MOST = 40
"""Categories in a picture; more cannot be read."""
LONGEST = 22  # characters of a name


@styled
def draw_confusion(
    path: Path,
    confusions: Mapping[str, Confusion],
    training_counts: np.ndarray,
    grouping: Grouping,
    names: Sequence[str],
) -> Path:
    """Draw the shares of the objects of each category (row) that are called by each (column).

    Args:
        path: PNG to write.
        confusions: by head, one panel each.
        training_counts: (C,) by which categories are ordered, the rarest first.
        grouping: of the categories: the colours of their names.
        names: of the categories.

    Returns:
        `path`.
    """
    chosen = most_confused(confusions, MOST)
    order = np.argsort(training_counts[chosen], kind="stable")
    side = max(3.2, 0.17 * len(chosen))
    figure, [axes] = new_figure((side + 2.2) * len(confusions), side + 2.2, 1, len(confusions))
    for panel, (head, found) in zip(axes, confusions.items(), strict=True):
        shares = found.matrix(chosen)[np.ix_(order, order)]
        image = panel.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
        panel.set_title(label(head))
        _name(panel, chosen[order], grouping, names)
    axes[0].set_ylabel("annotated, the rarest on top")
    figure.supxlabel("best detection over the object", fontsize=10)
    figure.colorbar(image, ax=axes, label="percent of the objects", shrink=0.6)
    return save(figure, path)


def most_confused(confusions: Mapping[str, Confusion], number: int) -> np.ndarray:
    """(n,) int64 ascending, the categories of the pairs with the most objects of any head.

    Args:
        confusions: by head.
        number: of categories, at most.
    """
    parts = [(each.annotated, each.detected, each.counts) for each in confusions.values()]
    mistaken = np.concatenate([each.mistaken for each in confusions.values()])
    own, other, counts = (np.concatenate(column)[mistaken] for column in zip(*parts, strict=True))
    order = np.argsort(-counts, kind="stable")
    pairs = np.stack([own[order], other[order]], axis=1).ravel()
    distinct = pairs[np.sort(np.unique(pairs, return_index=True)[1])]
    return np.sort(distinct[:number])


def _name(axes: Axes, categories: np.ndarray, grouping: Grouping, names: Sequence[str]) -> None:
    axes.grid(visible=False)
    texts = [label(names[each], LONGEST) for each in categories.tolist()]
    places, keys = range(len(texts)), grouping.keys[categories].tolist()
    axes.set_xticks(places, texts, rotation=90, fontsize=7)
    axes.set_yticks(places, texts, fontsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        for text, key in zip(axis.get_ticklabels(), keys, strict=True):
            text.set_color(shades(grouping)[key].colour)
