"""Ablation tables as Markdown, CSV and console tables."""

import math
from collections.abc import Iterator
from pathlib import Path

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


def _cell(value: float, deviation: float, change: float) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:.1f}"
    if not math.isnan(deviation):
        text += f" ± {deviation:.1f}"
    return text if math.isnan(change) else f"{text} ({round(change, 1) + 0.0:+.1f})"
