"""Progress bars of long work that is no training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bacl.processes.distributed import process_rank

SMALLEST = 1 << 25
"""Bytes; fewer are over before a bar can be read, and none is shown."""


@contextmanager
def byte_progress(
    description: str, total: int | None, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """A bar that counts bytes; yields the function that advances it.

    Args:
        description: What is going on, such as "reading train.json".
        total: Bytes in all; None where unknown.
        done: Bytes done before (a resumed download).
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    hidden = process_rank() > 0 or (total is not None and total < SMALLEST)
    with Progress(*columns, disable=hidden) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


@contextmanager
def count_progress(
    description: str, total: int | None, unit: str, hidden: bool = False
) -> Iterator[Callable[[int], None]]:
    """A bar that counts things and says how many are done in a second.

    Args:
        description: What is going on.
        total: Things in all; None where nobody knows.
        unit: Their name in the plural.
        hidden: Show nothing.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=hidden) as bar:
        task = bar.add_task(description, total=total, rate="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
            bar.update(task, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield advance
