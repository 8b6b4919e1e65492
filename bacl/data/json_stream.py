"""Reads the arrays of a large JSON file record by record, without holding the file in memory."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from bacl.data.validation import AnnotationError

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


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
        AnnotationError: if the file is empty, cut off or not JSON, if a section is missing or given
            twice, or if a record is not an object.
    """
    with path.open(encoding="utf-8-sig") as file:
        reader = _Reader(path, file.read, advance, block)
        seen: set[str] = set()
        reader.expect_start(sections)
        while (key := reader.next_key(first=not seen)) is not None:
            if key in seen:
                raise AnnotationError(path, key, "stands twice in this file")
            seen.add(key)
            if key in sections:
                yield from ((key, number, record) for number, record in reader.records(key))
            else:
                reader.value(key)
        missing = [section for section in sections if section not in seen]
        if missing:
            problem = (
                f"no {' and no '.join(map(repr, missing))}; expected an object with "
                + ", ".join(sections)
            )
            raise AnnotationError(path, "", problem)


class _Reader:
    """A window on the text: `text` from `at` on is what has been read but not used."""

    def __init__(
        self, path: Path, read: Callable[[int], str], advance: Callable[[int], None], block: int
    ) -> None:
        self.path, self.read, self.advance, self.block = path, read, advance, block
        self.text, self.at, self.ended = "", 0, False
        self.used = 0  # characters before the window, for error messages

    def expect_start(self, sections: Collection[str]) -> None:
        """Step over the opening brace."""
        start = self.peek()
        if not start:
            raise AnnotationError(self.path, "", "the file is empty")
        if start != "{":
            kind = "a list (detection results?)" if start == "[" else f"text that starts {start!r}"
            problem = f"expected a JSON object with {', '.join(sections)}, found {kind}"
            raise AnnotationError(self.path, "", problem)
        self.at += 1

    def next_key(self, first: bool) -> str | None:
        """The next top-level key with its colon, or None after the closing brace."""
        character = self.peek()
        if character == "}":
            self.at += 1
            if self.peek():
                raise self.error("text after the end of the object")
            return None
        if not first:
            self.expect(",")
            self.peek()
        key = self.value("a key")
        if not isinstance(key, str):
            raise self.error("expected a key in double quotes")
        self.expect(":")
        return key

    def records(self, section: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and content of each record of the array that starts here."""
        start = self.peek()
        if start != "[":
            problem = "expected a list of objects"
            raise AnnotationError(self.path, section, problem) if start else self.error(problem)
        self.at += 1
        number = 0
        while self.peek() != "]":
            if number:
                self.expect(",", f"{section}[{number}]")
            record = self.value(f"{section}[{number}]")
            if not isinstance(record, dict):
                raise AnnotationError(self.path, f"{section}[{number}]", "expected an object")
            yield number, record
            number += 1
        self.at += 1

    def value(self, place: str) -> Any:
        """The JSON value that starts here."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # Perhaps the window cuts the value: read on, and believe the error at the end.
                if not self.fill():
                    self.at = error.pos
                    raise self.error(error.msg, place) from None
                continue
            if end == len(self.text) and self.fill():  # a number may go on in the next block
                continue
            self.at = end
            return value

    def peek(self) -> str:
        """The next character that is not white space ("" at the end of the file)."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.fill():
                return ""

    def expect(self, character: str, place: str = "") -> None:
        """Step over `character`."""
        if self.peek() != character:
            raise self.error(f"expected {character!r}", place)
        self.at += 1

    def fill(self) -> bool:
        """Drop what is used and read more, at least doubling what is kept; False at the end."""
        rest = self.text[self.at :]
        try:
            more = self.read(max(self.block, len(rest)))
        except UnicodeDecodeError as error:
            problem = f"not a text file in UTF-8 ({error.reason}); is it still packed?"
            raise AnnotationError(self.path, "", problem) from None
        if not more:
            self.ended = True
            return False
        self.used += self.at
        self.text, self.at = rest + more, 0
        self.advance(len(more))
        return True

    def error(self, problem: str, place: str = "") -> AnnotationError:
        """A syntax error at this character; a file that just stops is said to be cut off."""
        rest = self.text.rstrip()
        if self.ended and (self.at >= len(rest) - 1 or not rest.endswith("}")):
            problem = f"the file ends early ({problem}); was the copy or download cut off?"
        else:
            problem = f"not valid JSON at character {self.used + self.at}: {problem}"
        return AnnotationError(self.path, place, problem)
