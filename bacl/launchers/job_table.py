"""What a multirun ends with: one row per job."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import rich
from rich.table import Table
from rich.text import Text

from bacl.evaluation.measures import Measure, shown_in
from bacl.launchers.jobs import Job
from bacl.messages.shown import visible
from bacl.reporting.spreadsheet import write_csv
from bacl.runs.outcome import Outcome

NOTHING_YET = [Measure("AP", "AP", "main"), Measure("AP50", "AP50", "more")]
"""What a multirun without a result has columns of."""


def write_summary(path: Path, jobs: Sequence[Job]) -> None:
    """Write a CSV with status, measures in percent, seconds, folder and reason of every job.

    The measures are AP, AP50 and the AP of each group that the finished jobs have.
    """
    ends = [job.outcome for job in jobs]
    columns = _columns(ends)
    rows: list[list[object]] = [
        ["job", "status", "head", *columns, "seconds", "folder", "reason"],
    ]
    for job, end in zip(jobs, ends, strict=True):
        measures = _percents(end, columns.values())
        own = [job.title, end.status, end.head]
        rows.append([*own, *measures, end.seconds, str(job.folder), end.reason])
    write_csv(path, rows)


def show_summary(jobs: Sequence[Job]) -> None:
    """Print the same as a table."""
    ends = [job.outcome for job in jobs]
    columns = _columns(ends)
    table = Table("job", "status")
    for title in columns:
        table.add_column(title, justify="right")
    for job, end in zip(jobs, ends, strict=True):
        status = end.status if not end.reason else f"{end.status}: {end.reason}"
        measures = _percents(end, columns.values())
        table.add_row(Text(visible(job.title)), Text(visible(status)), *measures)
    rich.print(table)


def _columns(ends: Sequence[Outcome]) -> dict[str, str]:
    """Title and measure of each column."""
    measures = [each for end in ends for each in end.declared if not each.of_masks]
    return {each.title: each.name for each in shown_in(measures or NOTHING_YET, "main", "more")}


def _percents(end: Outcome, measures: Iterable[str]) -> list[str]:
    values = [end.measures.get(name, -1) for name in measures]
    return ["" if value is None or value < 0 else f"{100 * value:.1f}" for value in values]
