"""Progress bars of long preparations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bacl.distributed import process_rank


@contextmanager
def byte_progress(
    description: str, total: int | None, done: int = 0, smallest: int = 1 << 25
) -> Iterator[Callable[[int], None]]:
    """A bar that counts bytes; yields the function that advances it.

    Args:
        description: What is going on, such as "reading train.json".
        total: Bytes in all; None where unknown.
        done: Bytes done before (a resumed download).
        smallest: Totals below it are over before a bar can be read: none is shown.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    hidden = process_rank() > 0 or (total is not None and total < smallest)
    with Progress(*columns, disable=hidden) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda count: bar.advance(task, count)
