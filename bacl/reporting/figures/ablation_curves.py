"""Ablations as pictures: curves over a number, bars over settings, beside the paper's."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bacl.reporting.ablation import Ablation
from bacl.reporting.figures.letters import LONGEST, label
from bacl.reporting.figures.style import MUTED, head_colour, new_figure, save, styled

OURS, PAPER = head_colour(0), head_colour(1)


@styled
def draw_ablation(path: Path, ablation: Ablation) -> Path:
    """Draw one panel per measure: every row's difference to the default setting, ours and theirs.

    Panels of the right label are below those of AP, those of masks below those of boxes.

    Differences are drawn because the paper's data set and ours have different levels; the title of
    a panel tells the level of our default. Where no setting is the default, or it has no finished
    run, there is nothing to differ from: the measures themselves are drawn. Error bars are standard
    deviations over seeds.

    Args:
        path: PNG to write.
        ablation: at least one of its rows has a finished run.
    """
    height = 3.4 if ablation.axis else 1.2 + 0.34 * len(ablation.rows)
    lines = _lines(ablation)
    wide = max(len(line) for line in lines)
    size = (max(3 * wide, 6), height * len(lines))
    figure, axes = new_figure(*size, len(lines), wide, sharey=True)
    for panels, line in zip(axes, lines, strict=True):
        _draw_line(panels, ablation, line)
    if _published(ablation):
        axes[0][0].legend(loc="best")
    figure.suptitle(
        label(ablation.title, 2 * LONGEST), x=0.01, ha="left", fontsize=12, fontweight="bold"
    )
    return save(figure, path)


def _lines(ablation: Ablation) -> list[list[tuple[str, str]]]:
    """Title and measure of each panel, line by line."""
    lines: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for each in ablation.measures:
        lines.setdefault((each.of_masks, each.family), []).append((each.full_title, each.name))
    return list(lines.values()) or [list(ablation.columns.items())]


def _draw_line(
    panels: Sequence[Axes], ablation: Ablation, columns: Sequence[tuple[str, str]]
) -> None:
    draw = _curves if ablation.axis else _bars
    for panel, (title, measure) in zip(panels, columns, strict=False):
        draw(panel, ablation, measure)
        panel.set_title(f"{title}{_level(ablation, measure)}")
    for panel in panels[len(columns) :]:
        panel.set_visible(False)
    if ablation.axis:
        panels[0].set_ylabel(_unit(ablation))


def _level(ablation: Ablation, measure: str) -> str:
    level = ablation.default.mean(measure) if ablation.default else math.nan
    return "" if math.isnan(level) else f" (default {level:.1f})"


def _compared(ablation: Ablation) -> bool:
    """Whether there is a default with a run, so that differences can be drawn."""
    return ablation.default is not None and bool(ablation.default.runs)


def _published(ablation: Ablation) -> bool:
    return any(row.paper for row in ablation.rows)


def _unit(ablation: Ablation) -> str:
    return "difference to the default" if _compared(ablation) else "percent"


def _values(ablation: Ablation, measure: str) -> tuple[list[float], list[float], list[float]]:
    """Ours, their deviations and the paper's: differences, or what was measured without a default.

    The default's own difference is zero.
    """
    spread = [row.deviation(measure) for row in ablation.rows]
    ours = [row.mean(measure) for row in ablation.rows]
    paper = [row.published(measure) for row in ablation.rows]
    if _compared(ablation):
        pairs = list(zip(ablation.rows, ours, paper, strict=True))
        ours = [_change(ablation.change(row, measure), row.default, own) for row, own, _ in pairs]
        paper = [
            _change(ablation.published_change(row, measure), row.default, theirs)
            for row, _, theirs in pairs
        ]
    return ours, spread, paper


def _change(change: float, default: bool, value: float) -> float:
    return 0.0 if default and not math.isnan(value) else change


def _curves(axes: Axes, ablation: Ablation, measure: str) -> None:
    at = np.array([float(row.name) for row in ablation.rows])
    order = np.argsort(at)
    ours, spread, paper = (np.array(values)[order] for values in _values(ablation, measure))
    if _compared(ablation):
        axes.axhline(0, color=MUTED, linewidth=0.8)
    if _published(ablation):
        axes.plot(at[order], paper, color=PAPER, marker="^", linestyle="--", label="paper")
    axes.errorbar(
        at[order], ours, yerr=np.nan_to_num(spread), color=OURS, marker="o", capsize=3, label="ours"
    )
    axes.set_xlabel(label(str(ablation.axis)))


def _bars(axes: Axes, ablation: Ablation, measure: str) -> None:
    ours, spread, paper = _values(ablation, measure)
    places = np.arange(len(ablation.rows))[::-1]
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.barh(
        places, np.nan_to_num(ours), height=0.5, color=OURS, alpha=0.75,
        xerr=np.nan_to_num(spread), error_kw={"ecolor": MUTED, "capsize": 2}, label="ours",
    )  # fmt: skip
    for place, row, value in zip(places, ablation.rows, ours, strict=True):
        if math.isnan(value):
            # Of a finished run only this measure is missing: no object of the group, no mask.
            text = " –" if row.runs else " no run"
            axes.text(0, place, text, color=MUTED, va="center")
    if _published(ablation):
        axes.plot(paper, places, color=PAPER, marker="D", linestyle="", markersize=6, label="paper")
    axes.set_yticks(places, [label(row.name) for row in ablation.rows])
    axes.set_xlabel(_unit(ablation))
