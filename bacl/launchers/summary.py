"""What a multirun ends with: one row per job."""

import csv
from collections.abc import Sequence
from pathlib import Path

import rich
from rich.markup import escape
from rich.table import Table

from bacl.atomic import replacing
from bacl.launchers.jobs import Job

MEASURES = ("AP", "AP50", "APr", "APc", "APf")


def write_summary(path: Path, jobs: Sequence[Job]) -> None:
    """Write a CSV with status, measures in percent, seconds, folder and reason of every job."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", "status", "head", *MEASURES, "seconds", "folder", "reason"])
        for job in jobs:
            end = job.outcome
            writer.writerow(
                [
                    job.title,
                    end.status,
                    end.head,
                    *_percents(job),
                    end.seconds,
                    job.folder,
                    end.reason,
                ]
            )


def show_summary(jobs: Sequence[Job]) -> None:
    """Print the same as a table."""
    table = Table()
    for title in ("job", "status", *MEASURES):
        table.add_column(title, justify="left" if title in ("job", "status") else "right")
    for job in jobs:
        end = job.outcome
        status = end.status if not end.reason else f"{end.status}: {end.reason}"
        table.add_row(escape(job.title), escape(status), *_percents(job))
    rich.print(table)


def _percents(job: Job) -> list[str]:
    values = [job.outcome.measures.get(name, -1) for name in MEASURES]
    return ["" if value is None or value < 0 else f"{100 * value:.1f}" for value in values]
