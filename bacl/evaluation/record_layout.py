"""How the records of a results file are written, and the numbers of records written so.

n: records of a piece of the file. m: numbers of a record.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bacl.data.annotations.validation import NUMBERS
from bacl.evaluation.number_lists import NumberReader, written_whole

_DIGITS = b"0123456789+-.E"
_NUMBERS_ALONE = bytes(i if i in _DIGITS + b"," else ord(" ") for i in range(256))
_FIELDS = {"image_id": 1, "category_id": 1, "bbox": 4, "score": 1}
"""Their names, and how many numbers each has."""
_KINDS = {"image_id": (int,), "category_id": (int,), "bbox": (list,), "score": (int, float)}
SPACES = b" \t\r\n"
_EXACT = 2.0**53
"""Whole numbers from here on are not all float64."""


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


@dataclass(slots=True, frozen=True)
class RecordLayout:
    """How the records of a file are written."""

    record: bytes
    """A record without the characters of numbers."""
    pointed: bytes
    """The same with a point for each number that has one."""
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
            kinds = _KINDS.get(name, (type(value),))
            if (
                name in places
                or "," in name  # with digits beside it, in another record, it is a number more
                or type(value) not in kinds
                or not NUMBERS.issuperset(map(type, numbers))
            ):
                raise OtherLayoutError
            places[name] = slice(width, width + len(numbers))
            width += len(numbers)
        lengths = {name: each.stop - each.start for name, each in places.items()}
        if not _FIELDS.items() <= lengths.items():
            raise OtherLayoutError
        separator = text[end:following] if following > 0 else b","
        if separator.strip(SPACES) != b",":
            raise OtherLayoutError
        first = _capital(text[:end])
        pointed = _pointed(first).replace(b".E", b".").replace(b"E", b".")
        return cls(_without_digits(first), pointed, separator, width, places)

    def read(self, text: bytes, reader: NumberReader) -> Piece:
        """Whole records with separators between them.

        Raises:
            OtherLayoutError: they are others, or an id is no whole number below 2^53.
        """
        text, whole_ids = self._checked(text, reader)
        # Digits where none belong, as in a key, make this no list of numbers.
        alone = text.translate(_NUMBERS_ALONE)
        ids = [self.places[name].start for name in ("image_id", "category_id")]
        try:
            values = reader.read(b"[%b]" % alone).reshape(-1, self.width)
        except ValueError:
            raise OtherLayoutError from None
        whole_ids = whole_ids or written_whole(alone, self.width, ids)
        if not (whole_ids and (abs(values[:, ids]) < _EXACT).all()):
            raise OtherLayoutError
        images, categories = values[:, ids].T.astype(np.int64)
        boxes, scores = (values[:, self.places[name]] for name in ("bbox", "score"))
        return Piece(images, categories, boxes, scores[:, 0])

    def _checked(self, text: bytes, reader: NumberReader) -> tuple[bytes, bool]:
        """Records, with E in their exponents, and whether their ids are known to be whole numbers.

        They are where every number has a point, or an exponent, where the first record's has one.

        Raises:
            OtherLayoutError: they are others.
        """
        if not reader.exponents and self._repeats(self.pointed, _pointed(text)):
            return text, True
        given, text = text, _capital(text)
        reader.exponents = text is not given
        if self._repeats(self.pointed, _pointed(text).replace(b".E", b".").replace(b"E", b".")):
            return text, True
        if self._repeats(self.record, _without_digits(text)):
            return text, False
        raise OtherLayoutError

    def _repeats(self, record: bytes, found: bytes) -> bool:
        """Whether a text is this record, again and again, with separators between."""
        whole = record + self.separator
        return found + self.separator == whole * (-(-len(found) // len(whole)))


def _pairs(record: bytes) -> list[tuple[str, Any]]:
    """Names and values of a json object without objects in it."""
    try:
        return json.loads(record, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise OtherLayoutError from None


def _without_digits(text: bytes) -> bytes:
    return text.translate(None, _DIGITS)


def _pointed(text: bytes) -> bytes:
    return text.translate(None, b"0123456789+-")


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
