"""Results files whose records are all written alike, read as columns.

Tools write the records of a file with the same fields, in the same order, with the same spaces; but
for the numbers every record is the same text. So the text without its digits says whether that is
so, and the text without all else is one list of numbers, which a parser reads in a fraction of the
time that it takes for objects. What is written otherwise, or is wrong, is not read here: whoever
asks reads it record by record, and says what is wrong in which.
"""

import codecs
from collections.abc import Callable, Generator, Iterator

from bacl.evaluation.number_lists import NumberReader
from bacl.evaluation.record_layout import SPACES, OtherLayoutError, Piece, RecordLayout

_PIECE = 1 << 18  # bytes: what is made of them stays in the caches of a processor
LONGEST = 1 << 20
"""Bytes of a record, at most."""


def read_pieces(read: Callable[[int], bytes]) -> Iterator[Piece]:
    """The records of a file, some thousand at a time.

    Args:
        read: gives so many bytes of the file more, none at its end.

    Raises:
        OtherLayoutError: the file is written in another way, or is no list of such records.
    """
    rest = yield from _records(read, without_opening(read(_PIECE)), None)
    if rest.strip(SPACES) != b"]":
        raise OtherLayoutError


def read_part(read: Callable[[int], bytes], layout: RecordLayout) -> Iterator[Piece]:
    """Records from the inside of a file, each with the separator in front of it.

    Args:
        read: gives so many bytes of them more, none at their end.
        layout: of the file.

    Raises:
        OtherLayoutError: they are written in another way.
    """
    rest = yield from _records(read, read(_PIECE), layout)
    if rest:
        raise OtherLayoutError


def without_opening(text: bytes) -> bytes:
    """The beginning of a file without what stands before its first record.

    Raises:
        OtherLayoutError: it begins with no list.
    """
    text = text.removeprefix(codecs.BOM_UTF8).lstrip(SPACES)
    if not text.startswith(b"["):
        raise OtherLayoutError
    return text[1:].lstrip(SPACES)


def _records(
    read: Callable[[int], bytes], more: bytes, layout: RecordLayout | None
) -> Generator[Piece, None, bytes]:
    """Records, and then what is behind the last.

    Args:
        read: see `read_pieces`.
        more: what was read already.
        layout: of records with a separator in front of each; None finds it, and the first record
            has none in front.
    """
    rest, expected = b"", layout.separator if layout else b""
    reader = NumberReader()
    while more:
        end = more.rfind(b"}") + 1
        if end:
            layout = layout or RecordLayout.of(rest + more)
            text = rest + more[:end]
            if not text.startswith(expected):
                raise OtherLayoutError
            yield layout.read(text[len(expected) :], reader)
            rest, expected = more[end:], layout.separator
        else:
            rest += more
        if len(rest) > LONGEST:
            raise OtherLayoutError
        more = read(_PIECE)
    return rest
