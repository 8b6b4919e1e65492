"""Where a table lies, which one is believed, and when it is made anew.

A table is a folder named by the digest of its json file: beside the file or, where that cannot be
written, in the user's cache. Neither place is trusted. When a table is built, the digests of json
and table go together into the user's own memory (`file_digests`), and a table is opened only if its
files still have that digest; one that came with a data set, was changed, or cannot be read counts
as absent.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bacl.data.annotations.table_build import LAYOUT, build_table
from bacl.data.annotations.validation import AnnotationError, MissingAnnotationsError
from bacl.files.atomic import UnwritableError, telling_refusal
from bacl.files.digests import Memory, file_states, known_digest, read_digest, user_cache
from bacl.files.disk_space import require_space
from bacl.files.leftovers import sweep, unfinished, unfinished_folder
from bacl.files.lock import one_at_a_time
from bacl.processes.progress import byte_progress

_LOG = logging.getLogger(__name__)
_HIDDEN = ".bacl-tables"
_EARLIER = re.compile(r"\.building-.+-[a-z0-9_]{8}")  # unfinished, of an earlier version
_LONGEST_STEM = 60  # characters of the json's name in the folder's


def table_folder(annotations: Path, cache: Path | None = None) -> Path:
    """The folder with the finished table of `annotations`; builds it if there is none to believe.

    Looked for, and else built, in `cache` if given; by default in a hidden folder beside the file
    or, where that cannot be written, in the user's cache directory. Any number of processes may
    build at once: each works in its own temporary folder, the first to finish names it, and the
    others, one after the other, take what lies there if it is whole.

    Raises:
        MissingAnnotationsError: if there is no such file.
        AnnotationError: if it cannot be used.
        UnwritableError: if there is no place for a table.
    """
    if not annotations.is_file():
        raise MissingAnnotationsError(f"there is no annotation file {annotations}")
    memory = Memory.of_user()
    digest = _digest(annotations, memory)
    name = f"{annotations.stem[:_LONGEST_STEM]}-{digest[:16]}-v{LAYOUT}"
    folders = [place / name for place in _places(annotations, cache)]
    for folder in folders:
        sweep(folder.parent, earlier=lambda path: _EARLIER.fullmatch(path.name))
    believed = _believed(folders, memory.recall(_built(digest)), memory)
    return believed or _build(annotations, digest, folders, memory)


def _places(annotations: Path, cache: Path | None) -> list[Path]:
    if cache is not None:
        return [cache]
    own = user_cache()
    return [annotations.parent / _HIDDEN, *([own] if own else [])]


def _digest(annotations: Path, memory: Memory) -> str:
    try:
        return known_digest([annotations], str(annotations.resolve()), memory)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise AnnotationError(annotations, "", problem) from error


def _built(digest: str) -> str:
    """What the memory calls the table of the json file with this digest."""
    return f"table of {digest} v{LAYOUT}"


def _described(folder: Path) -> dict[str, Any]:
    """What is kept of a table that was just built: its digest, and the sizes of its files."""
    files = sorted(folder.iterdir())
    return {"digest": read_digest(files), "sizes": _sizes(files)}


def _sizes(files: list[Path]) -> dict[str, int]:
    return {file.name: state[1] for file, state in zip(files, file_states(files), strict=True)}


def _believed(folders: list[Path], built: dict[str, Any], memory: Memory) -> Path | None:
    """The first of `folders` that holds what was built, byte for byte."""
    for folder in folders if built else ():
        try:
            files = sorted(folder.iterdir())
            # Sizes first: a file that pretends to be endless is not read.
            sizes_agree = _sizes(files) == built.get("sizes")
            key = str(folder.absolute())
            if sizes_agree and known_digest(files, key, memory) == built.get("digest"):
                return folder
        except OSError as error:
            _LOG.debug("there is no table in %s: %s", folder, error)
    return None


def _build(annotations: Path, digest: str, folders: list[Path], memory: Memory) -> Path:
    """Build in a temporary folder beside the first of `folders` that can be ours."""
    folder = next(_available(folders), None)
    if folder is None:
        places = " or ".join(str(folder.parent) for folder in folders)
        raise UnwritableError(
            f"nowhere to put the annotation table: cannot write to {places}; "
            "make one of them writable or set XDG_CACHE_HOME to a folder that is"
        )
    size = annotations.stat().st_size
    require_space(folder.parent, size, f"the table of {annotations.name}")  # about as large
    with telling_refusal(folder), unfinished_folder(folder) as temporary:
        with byte_progress(f"reading {annotations.name}", size) as advance:
            build_table(annotations, temporary, advance)
        if _digest(annotations, memory) != digest:
            raise AnnotationError(annotations, "", "changed while it was read; run again")
        _open_to_readers(temporary, annotations)
        built = _described(temporary)
        memory.keep(_built(digest), built)
        with one_at_a_time(folder.parent):
            # Perhaps another process was first, or another user's table is as good.
            if good := _believed(folders, built, memory):
                return good
            _install(temporary, folder)
            states = file_states(sorted(folder.iterdir()))
    memory.keep(str(folder.absolute()), {"states": states, "digest": built["digest"]})
    _LOG.info("annotation table of %s written to %s", annotations, folder)
    return folder


def _available(folders: list[Path]) -> Iterator[Path]:
    """Those of `folders` that can be made, or made anew."""
    for folder in folders:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if os.access(folder.parent, os.W_OK) and _replaceable(folder):
                yield folder
        except OSError as error:
            _LOG.debug("no table can lie in %s: %s", folder.parent, error)


def _replaceable(folder: Path) -> bool:
    """Whether there is nothing at this path, or something of this user's."""
    user = getattr(os, "getuid", int)()
    return not os.path.lexists(folder) or user in (0, folder.lstat().st_uid)


def _open_to_readers(folder: Path, annotations: Path) -> None:
    """Let a table be read by whoever may read the json: temporary folders are private."""
    readers = annotations.stat().st_mode & 0o444
    for file in folder.iterdir():
        file.chmod(readers | 0o600)
    folder.chmod(readers | readers >> 2 | 0o700)


def _install(temporary: Path, folder: Path) -> None:
    """Name a finished table, in the place of a damaged one if there is one."""
    damaged = unfinished(folder)  # swept, if this process is killed before it is removed
    if os.path.lexists(folder):
        _LOG.warning("%s is not what was built of its annotation file: made anew", folder)
        folder.rename(damaged)
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / "table.json").is_file():
            raise
        _LOG.debug("another process was first to build %s", folder)
    if damaged.is_dir() and not damaged.is_symlink():
        shutil.rmtree(damaged, ignore_errors=True)
    else:
        damaged.unlink(missing_ok=True)
