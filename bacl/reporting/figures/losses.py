"""Training curves from the CSV logger's metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from bacl.loggers.csv_logger import read_rows
from bacl.loggers.measurements import Quantity
from bacl.reporting.figures.letters import label, legend_label
from bacl.reporting.figures.style import (
    INK,
    MUTED,
    head_colour,
    panel_grid,
    running_mean,
    save,
    styled,
    written_out,
)

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
LOSSES = "train"  # the section of training losses
SMOOTHED = 40  # a running mean over 1/40 of the curve


@styled
def draw_losses(path: Path, metrics_csv: Path, heads: Sequence[str] = ()) -> Path:
    """Draw every training loss over the steps: those of one kind of all heads in one panel.

    Args:
        path: PNG to write.
        metrics_csv: the CSV logger's file.
        heads: those that come first, in the order of the other figures' colours.

    Returns:
        `path`.

    Raises:
        ValueError: the file has no training loss.
    """
    panels = loss_panels(metrics_csv, heads)
    figure, cells = panel_grid(panels, 3, 4.2, 3.2)
    for title, curves in panels.items():
        _draw_panel(cells[title], title, curves)
    return save(figure, path)


def has_losses(metrics_csv: Path) -> bool:
    """Whether any training loss was logged: a run of a few steps ends before the first time."""
    return any(each.section == LOSSES for _, row in read_rows(Path(metrics_csv)) for each in row)


def loss_panels(metrics_csv: Path, heads: Sequence[str] = ()) -> dict[str, dict[str, Curve]]:
    """Curves by part and head ("" of what heads share); see `draw_losses` for the arguments."""
    return panels_of(read_curves(metrics_csv), heads)


def read_curves(metrics_csv: Path, section: str = LOSSES) -> dict[Quantity, Curve]:
    """Steps and values of every training loss, or of what else was measured.

    A run that was interrupted repeats the steps after its last checkpoint; the later values count.

    Args:
        metrics_csv: the CSV logger's file.
        section: of the quantities.

    Raises:
        ValueError: there is none.
    """
    points: dict[Quantity, dict[int, float]] = {}
    for step, row in read_rows(Path(metrics_csv)):
        for quantity, value in row.items():
            if quantity.section == section:
                points.setdefault(quantity, {})[step] = value
    if not points:
        raise ValueError(f"{metrics_csv}: no column {section}/… with a value; was the run logged?")
    return {each: _sorted(points[each]) for each in sorted(points, key=str)}


def _sorted(curve: Mapping[int, float]) -> Curve:
    steps = sorted(curve)
    return np.array(steps, dtype=np.float64), np.array([curve[step] for step in steps])


def _finite(curve: Curve) -> Curve:
    kept = np.isfinite(curve[1])
    return curve[0][kept], curve[1][kept]


def panels_of(
    curves: Mapping[Quantity, Curve], first: Sequence[str]
) -> dict[str, dict[str, Curve]]:
    """Curves by part and head, what heads have before what they share."""
    order: dict[str | None, int] = {head: number for number, head in enumerate(first)}
    ranked = sorted(curves, key=lambda each: (not each.head, order.get(each.head, len(order))))
    panels: dict[str, dict[str, Curve]] = {}
    for quantity in ranked:
        panels.setdefault(quantity.part, {})[quantity.head or ""] = curves[quantity]
    return panels


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
