"""What became of the objects, and what detections are, of every group of categories and head."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bacl.evaluation.errors.detection_kinds import words
from bacl.evaluation.errors.error_rates import JUDGED_KINDS, ErrorRate, Rates
from bacl.evaluation.errors.object_fates import ObjectFate
from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.letters import label
from bacl.reporting.figures.style import INK, MUTED, new_figure, save, styled
from bacl.reporting.group_colours import shades

COLOURS = {
    "right": "#0072b2",
    "wrong category": "#d55e00",
    "badly localised": "#e69f00",
    "duplicate": "#cc79a7",
    "both": "#8d5a2b",
    "background": "#868e96",
    "missed": "#ced4da",
}
"""Of kinds of both rows; the palette is safe for the colour-blind."""
ROW = 0.27  # inches of a head's bar
BLOCKS: dict[str, tuple[IntEnum, ...]] = {
    "of 100 objects": tuple(ObjectFate),
    "detections for 100 objects": JUDGED_KINDS,
}


@styled
def draw_errors(path: Path, rates: Mapping[str, Rates], grouping: Grouping) -> Path:
    """Draw stacked bars: a column of panels for each group, a bar for each head.

    Beside each bar stands what is right and, of heads but the first, how it differs from the first
    one's, in grey where that is less than two standard errors.

    Args:
        path: PNG to write.
        rates: by head, the first being the reference.
        grouping: of the categories; groups without objects are left out.

    Returns:
        `path`.
    """
    first = next(iter(rates.values()))
    groups = [group for group in grouping.groups if not np.isnan(first[group.key][0].value)]
    height = 1.5 + 2 * (0.8 + ROW * len(rates))
    columns = max(len(groups), 1)
    figure, axes = new_figure(3 + 3.1 * columns, height, 2, columns, sharex="row", sharey=True)
    for row, (title, kinds) in zip(axes, BLOCKS.items(), strict=True):
        longest = 100.0
        for panel, group in zip(row, groups, strict=False):
            own = [each[group.key] for each in rates.values()]
            longest = max(longest, _draw_bars(panel, own, kinds))
            panel.set_title(group.name, color=shades(grouping)[group.key].colour)
            panel.set_xlabel(title)
        row[0].set_xticks([tick for tick in range(0, 1001, 50) if tick <= longest])
        row[0].set_xlim(0, 1.45 * longest)  # beside the bars stand numbers
        row[0].set_yticks(range(len(rates)), [label(name) for name in rates])
    axes[0][0].invert_yaxis()  # shared: the first head on top
    handles = [_patch(axes[0][0], kind, colour) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return save(figure, path)


def _draw_bars(axes: Axes, heads: Sequence[Sequence[ErrorRate]], kinds: Sequence[IntEnum]) -> float:
    """Draw one panel; returns how long its longest bar is."""
    first = len(ObjectFate) if kinds == JUDGED_KINDS else 0
    rates = [head[first : first + len(kinds)] for head in heads]
    shares = 100 * np.array([[rate.value for rate in own] for own in rates])
    ends = np.cumsum(shares, axis=1)
    for column, kind in enumerate(kinds):
        begin = ends[:, column] - shares[:, column]
        axes.barh(range(len(heads)), shares[:, column], left=begin, color=COLOURS[words(kind)])
    axes.grid(axis="y", visible=False)
    for row, own in enumerate(rates):
        _tell(axes, own[0], (float(ends[row, -1]) + 2, row))
    return float(ends[:, -1].max())


def _tell(axes: Axes, right: ErrorRate, place: tuple[float, float]) -> None:
    text, colour = f"{100 * right.value:.1f}", INK
    if right.difference is not None:
        text = f"{text} ({100 * right.difference.value + 0.0:+.1f})"
        colour = INK if right.difference.sure else MUTED
    axes.text(*place, text, va="center", fontsize=8, color=colour)


def _patch(axes: Axes, kind: str, colour: str) -> object:
    return axes.barh([0], [0], color=colour, label=kind)
