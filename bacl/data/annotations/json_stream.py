"""Reads the arrays of a large JSON file record by record, without holding the file in memory."""

import gzip
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bacl.data.annotations.json_reader import JsonReader
from bacl.data.annotations.validation import AnnotationError
from bacl.files.kinds import PLAIN_TEXT, file_kind, is_archive
from bacl.messages.shown import written


def stream_records(
    path: Path,
    sections: Collection[str],
    advance: Callable[[int], None] = lambda _: None,
    block: int = 1 << 22,
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (section, number, record) for every record of the arrays named `sections`.

    Args:
        path: A JSON file (UTF-8) whose top level is an object. Keys outside `sections` are skipped.
        sections: Keys of the top-level arrays to read; each must be there once.
        advance: Called with the number of characters read, for a progress bar.
        block: Characters read at once; the peak memory is a few blocks, or the longest value.

    Raises:
        AnnotationError: if the file cannot be read, is empty, cut off or not JSON, if a section is
            missing or given twice, or if a record is not an object or has a key twice.
    """
    with _opened(path) as file:
        reader = JsonReader(path, file.read, advance, block)
        seen: set[str] = set()
        reader.expect_start(sections)
        while (key := reader.next_key(first=not seen)) is not None:
            if key in seen:
                raise AnnotationError(path, key, "stands twice in this file")
            seen.add(key)
            if key in sections:
                place = f"{key}[%d]"
                yield from ((key, number, record) for number, record in reader.records(key, place))
            else:
                reader.value(key)
        missing = [section for section in sections if section not in seen]
        if missing:
            problem = (
                f"no {' and no '.join(map(repr, missing))}; expected an object with "
                + ", ".join(sections)
            )
            raise AnnotationError(path, "", problem)


def stream_list(path: Path, place: str, block: int = 1 << 22) -> Iterator[tuple[int, Any]]:
    """Yield (number, record) for every object of a file that is one JSON list.

    Args:
        path: A JSON file (UTF-8); a name that ends in .gz means gzip.
        place: What a record is called in errors, with %d for its number.
        block: Characters read at once.

    Raises:
        AnnotationError: as `stream_records`.
    """
    with _opened(path) as file:
        reader = JsonReader(path, file.read, lambda _: None, block)
        if reader.peek() not in ("[", ""):
            problem = f"expected a JSON list, found text that starts {written(reader.text[:20])}"
            raise AnnotationError(path, "", problem)
        yield from reader.records("", place)
        if reader.peek():
            raise reader.error("text after the end of the list")


def open_bytes(path: Path) -> Any:
    """Opens a file, unpacked where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        found = "a zip archive; unpack it" if is_archive(path) else file_kind(path)
        if found in (None, PLAIN_TEXT):
            found = f"not a text file in UTF-8 ({error.reason}); save it as UTF-8"
        raise AnnotationError(path, "", found) from None
    except (EOFError, zlib.error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AnnotationError(path, "", f"cannot be read: {reason}") from error
