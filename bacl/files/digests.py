"""Digests of files, and a memory of them that spares reading gigabytes again.

As long as size, times, inode and name of every file are what they were, the digest is believed. The
time of the last change of state (`ctime`) is among them: no copying or unpacking tool sets it back.
"""

import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bacl.files.atomic import UnwritableError, replacing

_LOG = logging.getLogger(__name__)
_SETTLED = 2_000_000_000
"""Nanoseconds: a file written so shortly before may change again within a tick of its clock."""


def user_cache() -> Path | None:
    """The user's own cache folder; None where the system knows of no home."""
    given = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(given, "bacl", "tables") if os.path.isabs(given) else None  # noqa: PTH117


class Memory:
    """Small json files in a folder of the user's own; without it, or damaged, things are forgotten.

    What is kept here decides what is believed: a folder that comes with data is no place for it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> "Memory":
        """In the user's cache or, where that cannot be written, a private temporary folder."""
        return cls(next(_own_folders(), None))

    def recall(self, key: str) -> dict[str, Any]:
        """What was kept under `key`; nothing where there is none."""
        if self.folder is None:
            return {}
        try:
            content = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def keep(self, key: str, content: dict[str, Any]) -> None:
        """Keep `content` under `key`; a disk that is full costs no more than doing things again."""
        if self.folder is None:
            return
        try:
            with replacing(self._file(key)) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
        except UnwritableError as error:
            _LOG.warning("%s: annotation tables will be made anew each time", error)

    def _file(self, key: str) -> Path:
        assert self.folder is not None
        name = hashlib.blake2b(os.fsencode(key), digest_size=16).hexdigest()
        return self.folder / f"{name}.json"


def file_states(files: Sequence[Path]) -> list[list[Any]]:
    """Name, size, times and inode of each file: what changes with its content.

    Raises:
        OSError: one is missing, may not be looked at, or is no regular file (reading a pipe may
            never end).
    """
    states: list[list[Any]] = []
    for file in files:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{file} is no regular file")
        times = status.st_mtime_ns, status.st_ctime_ns
        states.append([os.fsencode(file.name).hex(), status.st_size, *times, status.st_ino])
    return states


def read_digest(files: Sequence[Path]) -> str:
    """Digest of names and contents."""
    whole = hashlib.blake2b(digest_size=32)
    for file in files:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "blake2b").digest()
        whole.update(hashlib.blake2b(os.fsencode(file.name)).digest() + digest)
    return whole.hexdigest()


def known_digest(files: Sequence[Path], key: str, memory: Memory) -> str:
    """Digest of names and contents, from `memory` where the files are as they were.

    Args:
        files: Regular files.
        key: Of the files in the memory, such as their path.
        memory: Keeps the digest.

    Raises:
        OSError: as `file_states`, or a file cannot be read.
    """
    before = file_states(files)
    known = memory.recall(key)
    if known.get("states") == before and isinstance(known.get("digest"), str):
        return known["digest"]
    newest = max((max(state[2], state[3]) for state in before), default=0)
    settled = newest < time.time_ns() - _SETTLED
    digest = read_digest(files)
    if settled and file_states(files) == before:
        memory.keep(key, {"states": before, "digest": digest})
    return digest


def _own_folders() -> Iterator[Path]:
    user = getattr(os, "getuid", int)()
    temporary = Path(tempfile.gettempdir(), f"bacl-tables-{user}")
    for folder in (user_cache(), temporary):
        try:
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                status = folder.lstat()
                # Anyone may have made the temporary one.
                private = status.st_uid == user and not status.st_mode & 0o022
                if os.access(folder, os.W_OK) and (folder != temporary or private):
                    yield folder
        except OSError as error:
            _LOG.debug("nothing can be kept in %s: %s", folder, error)
