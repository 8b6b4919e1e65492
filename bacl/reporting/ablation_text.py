"""Ablation tables as Markdown, CSV and console tables."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from bacl.atomic import replacing
from bacl.reporting.ablation import MEASURES, Ablation, Row

HEADER = (
    *("table", "row", "default", "measure", "runs", "mean", "deviation", "change"),
    *("paper", "paper_change", "problem"),
)


def markdown(ablation: Ablation) -> str:
    """The table: our measures and the paper's, in brackets the differences to the default."""
    titles = [f"{column}{of}" for column in MEASURES for of in _sources(ablation)]
    lines = [
        f"### {ablation.title}",
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
    name = f"**{row.name}**" if row.default else row.name
    texts = [name.replace("|", "\\|"), runs.replace("|", "\\|")]
    for column in MEASURES:
        ours = (row.mean(column), row.deviation(column), ablation.change(row, column))
        paper = (row.published(column), math.nan, ablation.published_change(row, column))
        texts += [_cell(*numbers) for numbers in (ours, paper)[: len(_sources(ablation))]]
    return texts


def _sources(ablation: Ablation) -> tuple[str, ...]:
    """Suffixes of a measure's columns: ours, and the paper's where it has a row."""
    return ("", " paper") if any(row.paper for row in ablation.rows) else ("",)


def write_csv(path: Path, ablation: Ablation) -> None:
    """One line per row and measure, numbers in percent, empty where there is none."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(records(ablation))


def records(ablation: Ablation) -> Iterator[list[object]]:
    """The lines of the CSV, by `HEADER`."""
    for row in ablation.rows:
        for column in MEASURES:
            numbers = [
                *(row.mean(column), row.deviation(column), ablation.change(row, column)),
                *(row.published(column), ablation.published_change(row, column)),
            ]
            texts = ["" if math.isnan(number) else f"{number:.2f}" for number in numbers]
            own = [ablation.key, row.name, row.default, column, len(row.values(column))]
            yield [*own, *texts, "; ".join(sorted(set(row.problems.values())))]


def _cell(value: float, deviation: float, change: float) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:.1f}"
    if not math.isnan(deviation):
        text += f" ± {deviation:.1f}"
    return text if math.isnan(change) else f"{text} ({round(change, 1) + 0.0:+.1f})"
