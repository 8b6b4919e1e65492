"""Where a table lies and when it is made anew: keyed by the content of its annotation file.

A table is a folder named by the digest of the json file, so a touched or copied file finds its
table again and a changed one gets a new one. A small stamp (size, time of change, digest) spares
reading the file: as long as size and time agree the digest is believed.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bacl.atomic import replacing
from bacl.data.disk import require_space
from bacl.data.progress import byte_progress
from bacl.data.table_build import LAYOUT, build_table
from bacl.data.validation import AnnotationError

_LOG = logging.getLogger(__name__)
_HIDDEN = ".bacl-tables"


def table_folder(annotations: Path, cache: Path | None = None) -> Path:
    """The folder with the finished table of `annotations`; builds it if there is none.

    Looked for, and else built, in `cache` if given; by default in a hidden folder beside the file
    or, where that cannot be written, in the user's cache directory. Any number of processes may
    build at once: each works in its own temporary folder, and the first to finish names it.

    Raises:
        FileNotFoundError: if there is no such file.
        AnnotationError: if it cannot be used.
    """
    if not annotations.is_file():
        raise FileNotFoundError(f"there is no annotation file {annotations}")
    places = [cache] if cache is not None else [annotations.parent / _HIDDEN, _user_cache()]
    digest = _stamped(annotations, places) or _digest(annotations)
    name = f"{annotations.stem}-{digest[:16]}-v{LAYOUT}"
    folder = next((place / name for place in places if (place / name).is_dir()), None)
    if folder is None:
        folder = _build(annotations, _writable(places), name)
    _write_stamp(annotations, folder.parent, digest)
    return folder


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bacl" / "tables"


def _stamp_file(annotations: Path, place: Path) -> Path:
    path = hashlib.blake2b(str(annotations.resolve()).encode(), digest_size=6).hexdigest()
    return place / f"{annotations.stem}-{path}.stamp"


def _stamp(annotations: Path) -> dict[str, int]:
    status = annotations.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _stamped(annotations: Path, places: list[Path]) -> str | None:
    """The digest noted for this file, if its size and time of change are still the same."""
    for place in places:
        stamp_file = _stamp_file(annotations, place)
        if stamp_file.is_file():
            stamp = _read_stamp(stamp_file)
            if {key: stamp.get(key) for key in ("size", "mtime_ns")} == _stamp(annotations):
                return stamp.get("digest")
    return None


def _read_stamp(stamp_file: Path) -> dict[str, Any]:
    """A stamp; an empty one where the file is damaged: it only saves reading the annotations."""
    try:
        stamp = json.loads(stamp_file.read_bytes())
    except ValueError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(annotations: Path, place: Path, digest: str) -> None:
    stamp_file = _stamp_file(annotations, place)
    text = json.dumps({**_stamp(annotations), "digest": digest})
    if stamp_file.is_file() and stamp_file.read_bytes() == text.encode():
        return
    if os.access(place, os.W_OK):  # another user's finished table is good without a stamp of ours
        with replacing(stamp_file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _digest(annotations: Path) -> str:
    with annotations.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _writable(places: list[Path]) -> Path:
    """The first place that is or can be made a folder to write to."""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _LOG.debug("no table can lie in %s: %s", place, error)
            continue
        if os.access(place, os.W_OK):
            return place
    raise PermissionError(
        f"nowhere to put the annotation table: cannot write to {' or '.join(map(str, places))}; "
        "make one of them writable or set XDG_CACHE_HOME to a folder that is"
    )


def _build(annotations: Path, place: Path, name: str) -> Path:
    """Build in a temporary folder of `place` and rename it to `name`."""
    before = _stamp(annotations)
    require_space(place, before["size"], f"the table of {annotations.name}")  # about as large
    temporary = Path(tempfile.mkdtemp(prefix=f".building-{name}-", dir=place))
    try:
        with byte_progress(f"reading {annotations.name}", before["size"]) as advance:
            build_table(annotations, temporary, advance)
        if _stamp(annotations) != before:
            raise AnnotationError(annotations, "", "changed while it was read; run again")
        temporary.chmod(
            0o755
        )  # mkdtemp's folders are private, tables are for every reader of the json
        _rename(temporary, place / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _LOG.info("annotation table of %s written to %s", annotations, place / name)
    return place / name


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / "table.json").is_file():
            raise
        _LOG.debug("another process was first to build %s", folder)
