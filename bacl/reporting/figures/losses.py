"""Training curves from the CSV logger's metrics."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from bacl.reporting.figures.letters import label, legend_label
from bacl.reporting.figures.style import (
    INK,
    MUTED,
    head_colour,
    new_figure,
    running_mean,
    save,
    styled,
    written_out,
)

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
CLASSIFICATION = "_classification"  # the classification losses of all heads share a panel
SMOOTHED = 40  # a running mean over 1/40 of the curve


@styled
def draw_losses(path: Path, metrics_csv: Path, heads: Sequence[str] = ()) -> Path:
    """Draw every training loss over the steps: the heads' classification losses in one panel.

    Args:
        path: PNG to write.
        metrics_csv: the CSV logger's file; its columns `train/...` are the losses.
        heads: those that come first, in the order of the other figures' colours.

    Returns:
        `path`.

    Raises:
        ValueError: the file has no column `train/...`.
    """
    panels = _panels(read_curves(metrics_csv), heads)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(4.2 * columns, 3.2 * rows, rows, columns)
    flat = [cell for row in axes for cell in row]
    for cell, (title, curves) in zip(flat, panels.items(), strict=False):
        _draw_panel(cell, title, curves)
    for cell in flat[len(panels) :]:
        cell.set_visible(False)
    return save(figure, path)


def has_losses(metrics_csv: Path, prefix: str = "train/") -> bool:
    """Whether any training loss was logged: a run of a few steps ends before the first time."""
    with Path(metrics_csv).open(encoding="utf-8", newline="") as file:
        return any(name.startswith(prefix) for name in next(csv.reader(file), []))


def read_curves(metrics_csv: Path, prefix: str = "train/") -> dict[str, Curve]:
    """Steps and values of every metric whose name begins with `prefix`, without the prefix.

    A run that was interrupted repeats the steps after its last checkpoint; the later values count.

    Raises:
        ValueError: no such metric, or a record that is not a number.
    """
    points: dict[str, dict[int, float]] = {}
    with Path(metrics_csv).open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            for name, text in row.items():
                if name is not None and name.startswith(prefix) and text:
                    curve = points.setdefault(name.removeprefix(prefix), {})
                    place = f"{metrics_csv}: line {number}"
                    curve[int(_number(row["step"], f"{place}, step"))] = _number(
                        text, f"{place}, {name}"
                    )
    if not points:
        raise ValueError(f"{metrics_csv}: no column {prefix}… with a value; was the run logged?")
    return {name: _sorted(curve) for name, curve in sorted(points.items())}


def _number(text: str | None, place: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"{place}: {text!r} is not a number") from None


def _sorted(curve: Mapping[int, float]) -> Curve:
    steps = sorted(curve)
    return np.array(steps, dtype=np.float64), np.array([curve[step] for step in steps])


def _finite(curve: Curve) -> Curve:
    kept = np.isfinite(curve[1])
    return curve[0][kept], curve[1][kept]


def _panels(curves: Mapping[str, Curve], first: Sequence[str]) -> dict[str, dict[str, Curve]]:
    found = {
        name.removesuffix(CLASSIFICATION): curve
        for name, curve in curves.items()
        if name.endswith(CLASSIFICATION)
    }
    others = {
        name: {"": curve} for name, curve in curves.items() if not name.endswith(CLASSIFICATION)
    }
    heads = {name: found[name] for name in (*first, *found) if name in found}
    return ({"classification": heads} if heads else {}) | others


def _draw_panel(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    finite = {head: _finite(curve) for head, curve in curves.items()}
    for index, (head, (steps, values)) in enumerate(finite.items()):
        colour = head_colour(index) if head else INK  # the others are no head's own
        window = max(1, len(values) // SMOOTHED)
        dot = "o" if len(values) == 1 else None  # a line of one point shows nothing
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3, marker=dot)
        axes.plot(
            steps, running_mean(values, window), color=colour, linewidth=2, label=legend_label(head)
        )
    axes.set_title(label(title.replace("_", " ")))
    axes.set_xlabel("step", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if any(curves):
        axes.legend(loc="upper right")
    shown = np.concatenate([values for _, values in finite.values()])
    if len(shown) and shown.min() > 0 and shown.max() / shown.min() > 20:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        written_out(axes.yaxis)
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=shown.min(initial=0.0))
