"""A window on a large JSON text: its values one by one, and where and why one cannot be read."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from bacl.data.annotations.validation import AnnotationError
from bacl.messages.shown import written

_SPACE = re.compile(r"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*,[ \t\n\r]*(?=\{)")


class _TwiceError(ValueError):
    """A key that an object has twice; JSON leaves open which of the two would count."""


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return record


_ANY, _RECORDS = json.JSONDecoder(), json.JSONDecoder(object_pairs_hook=_record)


class JsonReader:
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
            self._refuse_end("}")
        key = self.value("a key")
        if not isinstance(key, str):
            raise self.error("expected a key in double quotes")
        self.expect(":")
        return key

    def records(self, section: str, place: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and content of each record of the array that starts here."""
        start = self.peek()
        if start != "[":
            problem = "expected a list of objects"
            raise AnnotationError(self.path, section, problem) if start else self.error(problem)
        self.at += 1
        number = 0
        while self._has_next(place, number):
            record = self._decode(place % number, _RECORDS)
            if not isinstance(record, dict):
                problem = f"{written(record)}, expected an object"
                raise AnnotationError(self.path, place % number, problem)
            yield number, record
            number += 1
        self.at += 1

    def _has_next(self, place: str, number: int) -> bool:
        """Step to record `number`, if the array does not end before it."""
        if number and (comma := _NEXT.match(self.text, self.at)):
            self.at = comma.end()
            return True
        if self.peek() == "]":
            return False
        if number:
            self.expect(",", place % number)
            self._refuse_end("]", place % number)
        return True

    def _refuse_end(self, end: str, place: str = "") -> None:
        """Raise if what a comma promises more of ends here."""
        if self.peek() == end:
            problem = f"not valid JSON at character {self.used + self.at}: a comma too many"
            raise AnnotationError(self.path, place, problem)

    def value(self, place: str) -> Any:
        """The JSON value that starts here."""
        self.peek()
        return self._decode(place, _ANY)

    def _decode(self, place: str, decoder: json.JSONDecoder) -> Any:
        while True:
            try:
                value, end = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # Perhaps the window cuts the value: read on, and believe the error at the end.
                if not self.fill():
                    self.at = error.pos
                    raise self.error(error.msg, place) from None
                continue
            except RecursionError:
                raise AnnotationError(self.path, place, "is nested too deeply") from None
            except _TwiceError as error:
                problem = f"{written(error.args[0])} stands twice in it"
                raise AnnotationError(self.path, place, problem) from None
            except ValueError:  # Python reads no integer of more than 4300 digits
                problem = "holds a number of thousands of digits"
                raise AnnotationError(self.path, place, problem) from None
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
        more = self.read(max(self.block, len(rest)))
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
