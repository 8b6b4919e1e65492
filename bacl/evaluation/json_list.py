"""A json file with a list too long for memory, written as its records come."""

import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TextIO

from bacl.files.atomic import replacing


class JsonListWriter(ExitStack):
    """Writes records one below the other; the file appears, whole, if the block raises no error.

    Args:
        path: the file; a name that ends in .gz means gzip.
        before: json in front of the list, where the list is a part of the file.
        after: gives the json behind it, when the block ends.
    """

    def __init__(self, path: str | Path, before: str = "", after: Callable[[], str] = str) -> None:
        super().__init__()
        self.path = Path(path)
        self._before, self._after = before, after
        self._separator = "\n"

    def __enter__(self) -> Self:
        self._text = self.enter_context(_replaced_text(self.path))
        self.push(self._finish)
        self._text.write(f"{self._before}[")
        return self

    def write_texts(self, records: Iterable[str]) -> None:
        """Append records that are json texts already."""
        joined = ",\n".join(records)
        if joined:
            self._text.write(self._separator + joined)
            self._separator = ",\n"

    def _finish(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            end = "\n]" if self._separator == ",\n" else "]"
            self._text.write(f"{end}{self._after()}\n")


@contextmanager
def _replaced_text(path: Path) -> Iterator[TextIO]:
    with replacing(path) as temporary, temporary.open("wb") as file:
        stream: Any = file
        if path.suffix == ".gz":  # no name and time inside: equal content, equal bytes
            stream = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
        with io.TextIOWrapper(stream, encoding="ascii") as text:
            yield text
