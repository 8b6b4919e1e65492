"""Folders of files that can be made again, which together keep to a limit."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bacl.files.atomic import telling_refusal
from bacl.files.disk_space import in_words, require_space
from bacl.files.lock import in_use, one_at_a_time, use
from bacl.messages.errors import UserError

NOTE = "bytes_at_most"
"""A file of a folder: what may come to lie in it. Its time is that of the folder's last use.

A folder without it is somebody else's: it is neither counted nor removed.
"""


class LimitError(UserError, OSError):
    """Files would take more of the disk than they may."""


@contextmanager
def room_in(root: Path, name: str, needed: int, limit: int, option: str) -> Iterator[Path]:
    """Yield the folder `name` in `root`, in which `needed` bytes may come to lie.

    Other folders made here that no process uses are removed where all would exceed the limit, those
    first that were not used for the longest time. While the block runs, nobody removes this one.

    Args:
        root: is made where it is missing. What lies in it beside folders made here is left alone.
        name: of the folder.
        needed: bytes, with those that lie in it already.
        limit: of all of them together, in bytes.
        option: that sets the limit, for the message.

    Raises:
        LimitError: folders in use leave too little of the limit.
        NotEnoughSpaceError: the disk has less.
        UnwritableError: the system refuses the folder.
    """
    folder = root / name
    with telling_refusal(folder):
        root.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(root):
            _make_room(root, folder, needed, limit, option)
            folder.mkdir(exist_ok=True)
            (folder / NOTE).write_text(str(max(needed, _promised(folder))), encoding="utf-8")
            handle = os.open(folder, os.O_RDONLY)
            use(handle)
    try:
        yield folder
    finally:
        os.close(handle)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder and those below."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):  # it was unfinished, and has another name by now
                total += Path(place, name).stat().st_size
    return total


def _make_room(root: Path, folder: Path, needed: int, limit: int, option: str) -> None:
    others = [note.parent for note in root.glob(f"*/{NOTE}") if note.parent != folder]
    taken = {each: max(size_of(each), _promised(each) if in_use(each) else 0) for each in others}
    for each in sorted(others, key=_last_use):
        if sum(taken.values()) + needed <= limit:
            break
        if not in_use(each):
            shutil.rmtree(each)
            del taken[each]
    used = sum(taken.values())
    if used + needed > limit:
        raise LimitError(
            f"{root}: {in_words(needed)} may come to lie in it, and {in_words(used)} are of "
            f"trainings that go on; {option}={limit / 1e9:g} allows less"
        )
    mend = f"make room, or keep them on another disk ({option.rpartition('.')[0]}.folder)"
    require_space(root, needed - size_of(folder), str(folder), mend)


def _promised(folder: Path) -> int:
    try:
        return int((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it is new, or was interrupted before the note was written
        return 0


def _last_use(folder: Path) -> float:
    return (folder / NOTE).stat().st_mtime
