"""Results files whose records are all written alike, read as columns.

Tools write the records of a file with the same fields, in the same order, with the same spaces; but
for the numbers every record is the same text. So the text without its digits says whether that is
so, and the text without all else is one list of numbers, which a parser reads in a fraction of the
time that it takes for objects. What is written otherwise, or is wrong, is not read here: whoever
asks reads it record by record, and says what is wrong in which.

n: records of a piece of the file. m: numbers of a record.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic_core import from_json  # rounds every number as Python's own parser does

from bacl.data.annotations.validation import NUMBERS

_DIGITS = b"0123456789+-.E"
_NUMBERS_ALONE = bytes(i if i in _DIGITS + b"," else ord(" ") for i in range(256))
_FIELDS = {"image_id": 1, "category_id": 1, "bbox": 4, "score": 1}
"""Their names, and how many numbers each has."""
_PIECE = 1 << 17  # bytes: what is made of them stays in the caches of a processor
_LONGEST = 1 << 20  # bytes of a record
_SPACES = b" \t\r\n"


class OtherLayoutError(Exception):
    """The file is not one list of records that are written alike."""


@dataclass(slots=True, frozen=True)
class Piece:
    """Some records, in the order of the file."""

    images: np.ndarray
    """(n,) int64, `image_id`."""
    categories: np.ndarray
    """(n,) int64, `category_id`."""
    boxes: np.ndarray
    """(n, 4) float64, `bbox`."""
    scores: np.ndarray
    """(n,) float64, `score`."""


def read_pieces(read: Callable[[int], bytes]) -> Iterator[Piece]:
    """The records of a file, some thousand at a time.

    Args:
        read: gives so many bytes of the file more, none at its end.

    Raises:
        OtherLayoutError: the file is written in another way, or is no list of such records.
    """
    more = read(_PIECE).removeprefix(codecs.BOM_UTF8).lstrip(_SPACES)
    if not more.startswith(b"["):
        raise OtherLayoutError
    more, rest, layout = more[1:].lstrip(_SPACES), b"", None
    while more:
        end = more.rfind(b"}") + 1
        if end:
            if layout is None:
                layout, expected = _Layout.of(rest + more), b""
            text = rest + more[:end]
            if not text.startswith(expected):
                raise OtherLayoutError
            yield layout.read(text[len(expected) :])
            rest, expected = more[end:], layout.separator
        else:
            rest += more
        if len(rest) > _LONGEST:
            raise OtherLayoutError
        more = read(_PIECE)
    if rest.strip(_SPACES) != b"]":
        raise OtherLayoutError


@dataclass(slots=True, frozen=True)
class _Layout:
    """How the records of a file are written."""

    record: bytes
    """A record without digits."""
    separator: bytes
    """What stands between two of them."""
    width: int
    """m."""
    places: dict[str, slice]
    """Of the fields among the numbers of a record."""

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Of a text that begins with a record and, where there are several, another one."""
        end = text.index(b"}") + 1
        following = text.find(b"{", end)
        places: dict[str, slice] = {}
        width = 0
        for name, value in _pairs(text[:end]):
            numbers = value if isinstance(value, list) else [value]
            if name in places or not NUMBERS.issuperset(map(type, numbers)):
                raise OtherLayoutError
            places[name] = slice(width, width + len(numbers))
            width += len(numbers)
        lengths = {name: each.stop - each.start for name, each in places.items()}
        if not _FIELDS.items() <= lengths.items():
            raise OtherLayoutError
        separator = text[end:following] if following > 0 else b","
        if separator.strip(_SPACES) != b",":
            raise OtherLayoutError
        return cls(_without_digits(_capital(text[:end])), separator, width, places)

    def read(self, text: bytes) -> Piece:
        """Whole records with separators between them."""
        text = _capital(text)
        found, whole = _without_digits(text) + self.separator, self.record + self.separator
        count = len(found) // len(whole)
        if found != whole * count:
            raise OtherLayoutError
        try:
            # Digits where none belong, as in a key, make this no list of numbers.
            numbers = from_json(b"[%b]" % text.translate(_NUMBERS_ALONE))
            values = np.fromiter(numbers, np.float64, len(numbers)).reshape(count, self.width)
            images, categories = (
                np.array(numbers[self.places[name].start :: self.width])
                for name in ("image_id", "category_id")
            )
        except (ValueError, OverflowError):
            raise OtherLayoutError from None
        if not images.dtype == categories.dtype == np.int64:
            raise OtherLayoutError
        boxes, scores = (values[:, self.places[name]] for name in ("bbox", "score"))
        return Piece(images, categories, boxes, scores[:, 0])


def _pairs(record: bytes) -> list[tuple[str, Any]]:
    """Names and values of a json object without objects in it."""
    try:
        return json.loads(record, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise OtherLayoutError from None


def _without_digits(text: bytes) -> bytes:
    return text.translate(None, _DIGITS)


def _capital(text: bytes) -> bytes:
    """The same with E in exponents, as in 1E-05: an e is a letter of a key here."""
    letters = np.frombuffer(text, np.uint8)
    signs = np.flatnonzero(letters == ord("-"))
    if b"+" in text:
        signs = np.flatnonzero((letters == ord("-")) | (letters == ord("+")))
    exponents = signs[letters[signs - 1] == ord("e")] - 1  # a record begins with no sign
    if not len(exponents):
        return text
    letters = letters.copy()
    letters[exponents] = ord("E")
    return letters.tobytes()
