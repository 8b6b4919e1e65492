"""Files that are written as a whole or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that takes its place when the block succeeds.

    The folder is made where it is missing. A block that fails leaves an earlier `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The thread's id is the system's and keeps processes and threads that write the same file
    # apart; the suffix tells writers that look at it (numpy, matplotlib) the format.
    temporary = path.with_name(f".{path.stem}.{threading.get_native_id()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
