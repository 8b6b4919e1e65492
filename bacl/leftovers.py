"""Unfinished files and folders: told from others by name, and from those that are being written.

What is written lies beside its place under a hidden name until it is whole. A process that is
killed leaves it behind. Each is locked while it is written, by the operating system, which lets go
of the lock however the process ends: what is not locked has no writer any more, in folders that
several runs share too.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_NAME = re.compile(r"\.(?P<of>.+)\.[0-9a-f]{8}\.unfinished(?P<suffix>\.[^.]+)?", re.DOTALL)


def unfinished(path: Path) -> Path:
    """A hidden name beside `path`, that no other process, thread or machine takes.

    It ends as `path` does, which tells writers that look at it (numpy, matplotlib) the format.
    """
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}.unfinished{path.suffix}")


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder, to be filled and moved to `path`; it is gone after the block."""
    folder = unfinished(path)
    try:
        with being_written(folder, Path.mkdir):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def being_written(path: Path, make: Callable[[Path], None]) -> Iterator[None]:
    """Make an unfinished file or folder, and keep it from being swept while the block runs."""
    handle = _made_and_locked(path, make)
    try:
        yield
    finally:
        os.close(handle)


def _made_and_locked(path: Path, make: Callable[[Path], None]) -> int:
    while True:
        make(path)
        with suppress(FileNotFoundError):  # swept before it was locked
            handle = os.open(path, os.O_RDONLY)
            if fcntl is not None:
                with suppress(OSError):  # where a network's disk has no locks, nothing is swept
                    fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return handle
            os.close(handle)


def sweep(
    folder: Path,
    unfinished_of: Path | None = None,
    below: bool = False,
    earlier: Callable[[Path], object] = lambda path: False,
) -> None:
    """Remove what killed processes left unfinished in a folder; what cannot be removed may stay.

    Args:
        folder: where they lie.
        unfinished_of: look for those of one file or folder only.
        below: look into all folders below, too.
        earlier: tells what an earlier version left, which named them otherwise; only where all
            names are the project's own is it sure what is whose.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path, match = Path(place, name), _NAME.fullmatch(name)
            ours = match and (unfinished_of is None or _is_of(match, unfinished_of))
            if ours or earlier(path):
                _remove_unused(path)
        if not below:
            return


@cache
def sweep_once(folder: Path) -> None:
    """Sweep a folder, the first time that this process writes into it."""
    sweep(folder)


def _is_of(match: re.Match[str], path: Path) -> bool:
    return (match["of"], match["suffix"] or "") == (path.stem, path.suffix)


def _remove_unused(path: Path) -> None:
    with suppress(OSError):  # another process was faster, or it is another user's
        handle = os.open(path, os.O_RDONLY)
        try:
            if fcntl is None:
                return
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have made one in its place since.
            if os.path.samestat(os.fstat(handle), path.stat()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(handle)
