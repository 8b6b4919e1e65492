"""Ablation tables as Markdown, CSV and console tables."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bacl.messages.shown import as_markdown, shown
from bacl.reporting import spreadsheet
from bacl.reporting.ablation import PAPER, Ablation, Row

HEADER = (
    *("table", "row", "default", "measure", "runs", "mean", "deviation", "change"),
    *("paper", "paper_change", "problem"),
)


def markdown(ablation: Ablation) -> str:
    """The table: our measures and the paper's, in brackets the differences to the default."""
    titles = [
        f"{title}{of}"
        for title, measure in ablation.columns.items()
        for of in _sources(ablation, measure)
    ]
    lines = [
        f"### {as_markdown(ablation.title)}",
        "",
        "| " + " | ".join(["setting", "runs", *titles]) + " |",
        "|---|" + "---:|" * (1 + len(titles)),
    ]
    lines += ["| " + " | ".join(cells(ablation, row)) + " |" for row in ablation.rows]
    if ablation.note:
        lines += ["", ablation.note]
    return "\n".join(lines) + "\n"


def cells(ablation: Ablation, row: Row) -> list[str]:
    """A row's texts: name, runs (or what keeps them), then ours and the paper's of each measure."""
    problems = sorted(set(row.problems.values()))
    runs = "; ".join([str(len(row.runs))] * bool(row.runs) + problems)
    name = as_markdown(shown(row.name))
    texts = [f"**{name}**" if row.default else name, as_markdown(runs)]
    for measure in ablation.columns.values():
        ours = (row.mean(measure), row.deviation(measure), ablation.change(row, measure))
        paper = (row.published(measure), math.nan, ablation.published_change(row, measure))
        sources = _sources(ablation, measure)
        texts += [_cell(*numbers) for numbers in (ours, paper)[: len(sources)]]
    return texts


def _sources(ablation: Ablation, measure: str) -> tuple[str, ...]:
    """Suffixes of a measure's columns: ours, and the paper's where it prints the measure."""
    printed = measure in PAPER.values() and any(row.paper for row in ablation.rows)
    return ("", " paper") if printed else ("",)


def write_csv(path: Path, ablation: Ablation) -> None:
    """One line per row and measure, numbers in percent, empty where there is none."""
    spreadsheet.write_csv(path, [HEADER, *records(ablation)])


def records(ablation: Ablation) -> Iterator[list[object]]:
    """The lines of the CSV, by `HEADER`."""
    for row in ablation.rows:
        for title, measure in ablation.columns.items():
            numbers = [
                *(row.mean(measure), row.deviation(measure), ablation.change(row, measure)),
                *(row.published(measure), ablation.published_change(row, measure)),
            ]
            texts = ["" if math.isnan(number) else f"{number:.2f}" for number in numbers]
            own = [ablation.key, row.name, row.default, title, len(row.values(measure))]
            yield [*own, *texts, "; ".join(sorted(set(row.problems.values())))]


def grid(ablation: Ablation) -> tuple[list[str], list[list[Any]]]:
    """Titles and lines of a table with a line for each row, numbers as numbers in percent.

    Where the rows' names are numbers of an axis, they are numbers here: parallel coordinates and
    scatter plots want them so. None where there is none.
    """
    columns = ablation.columns
    numbered = ablation.axis is not None and all(_is_number(row.name) for row in ablation.rows)
    first = ablation.axis if ablation.axis and numbered else "setting"
    titles = [first, "default", "runs", *columns, *(f"{each} ±" for each in columns)]
    lines = []
    for row in ablation.rows:
        means = [_plain(row.mean(measure)) for measure in columns.values()]
        deviations = [_plain(row.deviation(measure)) for measure in columns.values()]
        name = float(row.name) if numbered else row.name
        lines.append([name, row.default, len(row.runs), *means, *deviations])
    return titles, lines


def _plain(number: float) -> float | None:
    return None if math.isnan(number) else round(number, 3)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _cell(value: float, deviation: float, change: float) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:.1f}"
    if not math.isnan(deviation):
        text += f" ± {deviation:.1f}"
    return text if math.isnan(change) else f"{text} ({round(change, 1) + 0.0:+.1f})"
