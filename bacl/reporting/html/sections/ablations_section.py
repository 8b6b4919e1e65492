"""Finished runs side by side: what each setting measured, beside the paper's figures."""

import math

from bacl.messages.shown import shown
from bacl.reporting.ablation import PAPER, Ablation, Row
from bacl.reporting.head_rows import DASH, Cell
from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.percent_table import percent_table
from bacl.reporting.html.section import Content, Section
from bacl.reporting.html.sweep_source import SweepSource

TOLD = (
    "All numbers are percent: means over the seeds, with the standard deviation where there are "
    "several. Below each stands its difference to the default, with one standard error where both "
    "have several seeds; in brackets where it is less than two of them."
)


def make(source: SweepSource) -> Content:
    """A table for each of the sweep's."""
    return Content(joined([element("p", TOLD, class_="note"), *map(_table, source.tables)]))


def _table(table: Ablation) -> Markup:
    columns = [
        (title, measure, of)
        for title, measure in table.columns.items()
        for of in ("", " paper")[: 1 + _is_printed(table, measure)]
    ]
    rows = [
        (shown(row.name), [_runs(row), *(_cell(table, row, m, of) for _, m, of in columns)])
        for row in table.rows
    ]
    titles = ["runs", *(f"{title}{of}" for title, _, of in columns)]
    note = element("p", table.note, class_="note") if table.note else ""
    return joined([percent_table(table.title, titles, rows), note, *_problems(table)])


def _is_printed(table: Ablation, measure: str) -> bool:
    return measure in PAPER.values() and any(row.paper for row in table.rows)


def _runs(row: Row) -> Cell:
    return Cell(str(len(row.runs)) if row.runs else DASH, "default" if row.default else "")


def _problems(table: Ablation) -> list[Markup]:
    told = [
        f"{shown(row.name)}: {'; '.join(sorted(set(row.problems.values())))}"
        for row in table.rows
        if row.problems
    ]
    return [element("p", f"Without a result: {'. '.join(told)}.", class_="note")] if told else []


def _cell(table: Ablation, row: Row, measure: str, of: str) -> Cell:
    if of:
        value, change = row.published(measure), table.published_change(row, measure)
        return Cell(_number(value), "" if math.isnan(change) else f"{change:+.1f}")
    value, deviation, change = row.mean(measure), row.deviation(measure), table.change(row, measure)
    spread = "" if math.isnan(deviation) else f" ± {deviation:.1f}"
    if math.isnan(change):
        return Cell(f"{_number(value)}{spread}")
    error = standard_error(row, table.default, measure)
    known = "" if math.isnan(error) else f" ± {error:.1f}"
    sure = math.isnan(error) or abs(change) > 2 * error
    return Cell(f"{_number(value)}{spread}", f"{round(change, 1) + 0.0:+.1f}{known}", sure)


def standard_error(row: Row, default: Row | None, measure: str) -> float:
    """Of the difference of two means over seeds; NaN where one of them has fewer than two."""
    if default is None:
        return math.nan
    parts = [each.deviation(measure) ** 2 / max(len(each.runs), 1) for each in (row, default)]
    return math.sqrt(sum(parts))


def _number(value: float) -> str:
    return DASH if math.isnan(value) else f"{round(value, 1) + 0.0:.1f}"


SECTION = Section("comparison", "Comparison", make)
