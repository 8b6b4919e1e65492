"""One process at a time: the operating system lets go of a lock however its holder ends."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bacl.files.atomic import telling_refusal
from bacl.messages.errors import BUSY, UserError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

LOCKS = fcntl is not None
PATIENCE = 10.0
"""Seconds; the data loader's processes outlive a killed one, and keep its locks so long."""


class BusyFolderError(UserError, RuntimeError):
    """Two processes must not train in one folder."""

    exit_status = BUSY


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process, or thread, at a time into the block: the others wait for it.

    Where the system locks no folders (Windows, some network disks) they go on together: what the
    block does must bear that, if with less grace.

    Args:
        folder: an existing one, whose name all of them use.
    """
    handle = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        if handle is not None:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def lock(handle: int, folder: Path, patience: float = PATIENCE) -> None:
    """Lock an open file, for this process and those that inherit it, until all have closed it.

    Args:
        handle: of the file, which is in `folder` or is the folder itself.
        folder: named where it is taken.
        patience: seconds that it is waited for.

    Raises:
        BusyFolderError: another process has it.
    """
    deadline = time.monotonic() + patience
    while LOCKS:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyFolderError(
                    f"{folder}: another process is at work in this folder; wait for it, or end it"
                ) from None
        time.sleep(0.2)


@contextmanager
def alone_in(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Keep a folder, which is made where it is missing, to this process while the block runs.

    Where the system locks no folders (Windows, some network disks) nobody is kept out. A folder
    that is left empty is removed.

    Args:
        folder: to be kept.
        patience: seconds that it is waited for.

    Raises:
        BusyFolderError: another process has it.
        UnwritableError: it cannot be made.
    """
    handle = _locked(folder, patience)
    try:
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()  # while it is this process's own; who waits for it makes another one
        if handle is not None:
            os.close(handle)


def _locked(folder: Path, patience: float) -> int | None:
    """An open folder, which is locked and in its place; None where the system locks none."""
    while True:
        with telling_refusal(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if not LOCKS:
            return None
        with suppress(FileNotFoundError), ExitStack() as opened:
            handle = os.open(folder, os.O_RDONLY)
            opened.callback(os.close, handle)
            with suppress(OSError):
                lock(handle, folder, patience)
            if os.path.samestat(os.fstat(handle), folder.stat()):
                opened.pop_all()
                return handle


def use(handle: int) -> None:
    """Mark an open folder as used, beside others that use it, until all have closed it."""
    if fcntl is not None:
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def in_use(folder: Path) -> bool:
    """Whether a process uses a folder; never where the system locks none."""
    if fcntl is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
