"""Unfinished files and folders: told from others by name, and from those that are being written.

What is written lies beside its place under a hidden name until it is whole. A process that is
killed leaves it behind. Each is locked while it is written, by the operating system, which lets go
of the lock however the process ends: what is not locked has no writer any more, in folders that
several runs share too. Some network disks keep locks to the machine that took them: what another
machine began must also be a day old, and its name says which one that is.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_NAME = re.compile(
    r"\.(?P<of>.+?)\.(?:(?P<machine>[0-9a-f]{6})-\d+-)?[0-9a-f]{8}\.unfinished(?P<suffix>\.[^.]+)?",
    re.DOTALL,
)
_OLD = 24 * 3600
"""Seconds after which what another machine began has no writer any more."""


def unfinished(path: Path) -> Path:
    """A hidden name beside `path`, that no other process, thread or machine takes.

    It says which machine and process write it, and ends as `path` does, which tells writers that
    look at it (numpy, matplotlib) the format.
    """
    writer = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.stem}.{writer}.unfinished{path.suffix}")


@cache
def _machine() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()


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
    """Make an unfinished file or folder, and keep it from being swept while the block runs.

    Raises:
        OSError: ESTALE: it was removed while the block ran.
    """
    handle = _made_and_locked(path, make)
    try:
        yield
    except FileNotFoundError as error:
        if path.exists():
            raise
        raise OSError(errno.ESTALE, "it was removed while it was written") from error
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
            if match and (unfinished_of is None or _is_of(match, unfinished_of)):
                _remove_unused(path, own=match["machine"] == _machine())
            elif earlier(path):
                _remove_unused(path)
        if not below:
            return


@cache
def sweep_once(folder: Path) -> None:
    """Sweep a folder, the first time that this process writes into it."""
    sweep(folder)


def _is_of(match: re.Match[str], path: Path) -> bool:
    return (match["of"], match["suffix"] or "") == (path.stem, path.suffix)


def _remove_unused(path: Path, own: bool = True) -> None:
    with suppress(OSError):  # another process was faster, or it is another user's
        if not own and time.time() - _last_written(path) < _OLD:
            return
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


def _last_written(path: Path) -> float:
    return max(each.stat().st_mtime for each in (path, *path.rglob("*")))
