"""Curves: losses over the steps, AP by training data, and heads over a shift of scores."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bacl.evaluation.measures import shown_in
from bacl.reporting.figures.losses import has_losses, loss_panels
from bacl.reporting.figures.style import running_mean
from bacl.reporting.figures.validation_curves import validation_panels
from bacl.reporting.html.markup import element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source
from bacl.reporting.spreadsheet import text_of

POINTS = 120
"""Of a curve of losses."""


def make(source: Source) -> Content:
    """The data of the curves; the page draws them."""
    data = {
        "losses": _losses(source),
        "validations": _validations(source),
        "shift": _shift(source),
        "heads": list(source.evaluations),
    }
    places = [
        _figure("by-count", "AP by training data", BY_COUNT),
        _figure("shift", "Right labels over a shift of scores", SHIFT) if data["shift"] else "",
        _figure("validations", "Validations", VALIDATIONS) if data["validations"] else "",
        _figure("losses", "Losses", LOSSES) if data["losses"] else "",
    ]
    return Content(joined(places), data)


BY_COUNT = (
    "A line is a running mean over categories in the order of their training data; dots are the "
    "categories of the head that is chosen in the legend."
)
SHIFT = (
    "Scores divided by a power of the training images of their category move along a line: to the "
    "left what the frequent group pays, upwards what the rare one gains. A head is worth its own "
    "training where its line lies above the others. The ring is the head as it is."
)
VALIDATIONS = "What validations within the training found, in percent."
LOSSES = "A running mean over 1/40 of each curve."


def _figure(key: str, title: str, told: str) -> Any:
    caption = element("figcaption", element("h3", title), element("p", told, class_="note"))
    return element("figure", caption, element("div", class_="charts", id=f"chart-{key}"))


def _losses(source: Source) -> dict[str, Any]:
    try:
        path = source.file("metrics.csv")
    except LeftOut:
        return {}
    if not has_losses(path):
        return {}
    panels = loss_panels(path, list(source.evaluations))
    return {
        title: {head: _smoothed(*curve) for head, curve in curves.items()}
        for title, curves in panels.items()
    }


def _validations(source: Source) -> dict[str, Any]:
    """Nothing where the training was validated at its end alone."""
    try:
        path = source.file("metrics.csv")
    except LeftOut:
        return {}
    measures = shown_in(source.first.measures, "main")
    panels = validation_panels(path, measures, list(source.evaluations))
    return {
        title: {head: _points(*curve) for head, curve in curves.items()}
        for title, curves in panels.items()
    }


def _smoothed(steps: np.ndarray, values: np.ndarray) -> list[list[float]]:
    kept = np.isfinite(values)
    steps, values = steps[kept], values[kept]
    return _points(steps, running_mean(values, max(1, len(values) // 40)))


def _points(steps: np.ndarray, values: np.ndarray) -> list[list[float]]:
    """Steps and values, of many those that divide them evenly."""
    rows = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
    return [[float(steps[row]), _short(values[row])] for row in rows[: len(steps)]]


def _shift(source: Source) -> dict[str, Any]:
    """By head, [power, share of the rare group, share of the frequent group] in percent."""
    try:
        path = source.file("shift_curves.csv")
    except LeftOut:
        return {}
    curve = source.first.shift
    if curve is None or curve.ends is None:
        return {}
    rare, frequent = curve.ends
    columns = ["gamma", f"right_label_{rare.key}", f"right_label_{frequent.key}"]
    heads: dict[str, list[list[float]]] = {}
    for row in _rows(path):
        texts = [row[column] for column in columns]
        if all(texts):
            gamma, low, high = map(float, texts)
            point = [gamma, round(100 * low, 2), round(100 * high, 2)]
            heads.setdefault(text_of(row["head"]), []).append(point)
    return {"rare": rare.name, "frequent": frequent.name, "heads": heads}


def _rows(path: Path) -> Sequence[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


SECTION = Section("curves", "Curves", make)
