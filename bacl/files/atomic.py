"""Files that are written as a whole or not at all."""

import errno
import os
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

from bacl.files.leftovers import being_written, sweep_once, unfinished
from bacl.messages.errors import UserError

REFUSALS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some of your quota, or write to another disk",
    errno.EROFS: "mount the disk for writing, or write to another folder",
    errno.EACCES: "change the permissions, or write to another folder",
    errno.EPERM: "change the permissions, or write to another folder",
    errno.ENOTDIR: "move the file that is in place of a folder, or write to another folder",
    errno.EEXIST: "move the file that is in place of a folder, or write to another folder",
    errno.EISDIR: "move the folder that is in place of the file, or write to another folder",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or write to another disk",
    errno.ESTALE: "run again, and let nothing else clear the folder",
    errno.EIO: "check the disk, or write to another one",
}
"""What the system says of a place that cannot be written, and the mend."""


class UnwritableError(UserError, OSError):
    """The disk is full, or the folder refuses what is to be written."""


class UnreadableError(UserError, OSError):
    """A file that is there cannot be read."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that takes its place when the block succeeds.

    The folder is made where it is missing. A block that fails leaves an earlier `path` as it was,
    and so does a power cut: what takes the place is on the disk by then (0.5 ms for a small file).

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    temporary = unfinished(path)
    with telling_refusal(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        try:
            with being_written(temporary, Path.touch):
                yield temporary
                _flush(temporary)
                temporary.replace(path)
                # The file is whole and in its place. Not every system opens a folder or flushes it
                # (network and FUSE file systems): there a power cut may leave the earlier file.
                with suppress(OSError):
                    _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def telling_refusal(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Tell in one message that the system refuses to write `path`, or what leads to it.

    Args:
        path: of the file or folder.
        temporary: another name that is written in its stead.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    try:
        yield
    except Exception as error:
        whole = path.absolute()
        written = {whole, *whole.parents} | ({temporary.absolute()} if temporary else set())
        refusal = _refusal(error, written)
        if refusal is None or isinstance(error, UserError):
            raise
        raise UnwritableError(
            f"{path} cannot be written: {refusal.strerror}; {REFUSALS[refusal.errno or 0]}"
        ) from error


def remove(path: Path) -> None:
    """Remove a file, where there is one.

    Raises:
        UnwritableError: the system refuses, or it is a folder.
    """
    with telling_refusal(path):
        path.unlink(missing_ok=True)


@contextmanager
def telling_unreadable(path: Path) -> Iterator[None]:
    """Tell in one message that the system refuses to read `path`.

    Raises:
        UnreadableError: names the file and what is to be done.
    """
    try:
        yield
    except OSError as error:
        mends = {errno.EACCES: "change its permissions", errno.EPERM: "change its permissions"}
        told = mends.get(error.errno or 0, "move it away, and run again")
        raise UnreadableError(f"{path} cannot be read: {error.strerror}; {told}") from error


def _refusal(error: BaseException | None, written: Set[Path]) -> OSError | None:
    """The system's error that is, or has caused, another one, if it names none but these paths."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REFUSALS:
            named = Path(os.fsdecode(error.filename)) if error.filename is not None else None
            if named is None or named.absolute() in written:
                return error
        error = error.__cause__
    return None


def _flush(path: Path) -> None:
    """Have the system put a file's content, or a folder's list of names, on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
