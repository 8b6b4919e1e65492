"""A temporary folder that its maker keeps locked, so that what a killed one left can be told."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".building-"
_YOUNG = 1.0  # seconds: its maker has perhaps not locked it yet
_OLD = 86400.0  # seconds: left, also where the file system has no locks


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, in which it is made; it is removed unless renamed.

    What killed processes left in its place is removed first.
    """
    for left in folder.parent.glob(f"{_PREFIX}*"):
        if _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{folder.name}-", dir=folder.parent))
    try:
        with _locked(temporary):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder, if nobody else has it; the system unlocks it however the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    with suppress(OSError):  # taken, or no locks on this file system
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _abandoned(folder: Path) -> bool:
    """Whether no living process builds in a folder."""
    try:
        age = time.time() - folder.stat().st_mtime
        if age < _YOUNG:
            return False
        with _locked(folder) as ours:
            return ours or age > _OLD
    except OSError:  # gone by now, or another user's
        return False
