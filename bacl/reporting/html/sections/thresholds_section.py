"""Score thresholds for use, what is to be expected of them, and how far scores can be believed."""

import math
from decimal import ROUND_FLOOR, Context
from typing import Any

import numpy as np

from bacl.evaluation.reliability import Reliability
from bacl.evaluation.thresholds.choosing import Thresholds
from bacl.evaluation.thresholds.operating_points import OperatingPoints
from bacl.messages.shown import shown
from bacl.reporting.head_rows import DASH, Cell
from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.percent_table import percent_table
from bacl.reporting.html.section import Content, LeftOut, Section, Source, group_title
from bacl.reporting.threshold_lines import EXPLANATION, operating_points

BELOW = "Below F1 stand precision and recall. The thresholds are used in the pictures here, too."
RELIABILITY = (
    "Calibration error: mean distance between scores and the share of right detections in 15 bins "
    "of as many detections each. Below it how much higher scores are than that share, in the mean."
)
OWNERS = ("its own", "its group's", "that of all")
"""Whose a category's threshold is."""


def make(source: Source) -> Content:
    """F1, precision and recall at choices of thresholds; calibration errors with their curves."""
    points = operating_points(source.evaluations)
    if not points:
        raise LeftOut("none were chosen")
    reliabilities = {n: e.reliabilities for n, e in source.evaluations.items() if e.reliabilities}
    titles = ["all", *(group_title(source.grouping, group) for group in source.grouping.groups)]
    objective = next(iter(points.values())).objective
    rows = [
        (f"{shown(name)}, {choice}", _fitted(choice, own))
        for name, own in points.items()
        for choice in own.fitted
    ]
    told = element("p", f"{EXPLANATION.format(objective=objective)} {BELOW}", class_="note")
    table = percent_table("F1, percent", titles, rows)
    believed = [_reliability(source, titles, reliabilities)] if reliabilities else []
    return Content(joined([told, table, *believed]), _data(source, points, reliabilities))


def _fitted(choice: str, points: OperatingPoints) -> list[Cell]:
    found = points.fitted[choice].of_groups(points.grouping)
    rows = zip(found.f1, points.errors[choice], found.precision, found.recall, strict=True)
    return [
        Cell(
            _percent(f1) + ("" if math.isnan(error) else f" ± {100 * error:.1f}"),
            "" if math.isnan(f1) else f"{_percent(precision)} / {_percent(recall)}",
        )
        for f1, error, precision, recall in rows
    ]


def _percent(share: float) -> str:
    return DASH if math.isnan(share) else f"{100 * share:.1f}"


def _reliability(source: Source, titles: list[Any], found: dict[str, Any]) -> Markup:
    rows = [(name, [_error(each) for each in own.values()]) for name, own in found.items()]
    caption = element("figcaption", element("p", RELIABILITY, class_="note"))
    charts = element("div", class_="charts", id="chart-reliability")
    table = percent_table("calibration error, percent", titles, rows)
    return element("figure", element("h3", "Can scores be believed?"), caption, table, charts)


def _error(found: Reliability) -> Cell:
    if found.error < 0:
        return Cell(DASH)
    return Cell(f"{100 * found.error:.1f}", f"{100 * found.excess:+.1f}")


def _data(
    source: Source, points: dict[str, OperatingPoints], reliabilities: dict[str, Any]
) -> dict[str, Any]:
    return {
        "owners": OWNERS,
        "heads": {name: _columns(each.thresholds) for name, each in points.items()},
        "reliability": {
            name: np.round(np.stack([own["all"].scores, own["all"].right], 1), 4).tolist()
            for name, own in reliabilities.items()
        },
    }


def _columns(chosen: Thresholds) -> dict[str, Any]:
    """Of each category its threshold, and whose it is."""
    owner = np.where(chosen.own, 0, np.where(chosen.in_decided_group, 1, 2))
    short = Context(prec=3, rounding=ROUND_FLOOR)  # never above what is taken in use
    scores = [float(short.create_decimal(score)) for score in chosen.per_category.tolist()]
    return {"scores": scores, "owners": owner.tolist()}


SECTION = Section("thresholds", "Thresholds", make)
