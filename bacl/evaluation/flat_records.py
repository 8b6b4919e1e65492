"""Results files whose records are all written alike, read as columns.

Tools write the records of a file with the same fields, in the same order, with the same spaces; but
for the numbers every record is the same text. So the text without its digits says whether that is
so, and the text without all else is one list of numbers, which a parser reads in a fraction of the
time that it takes for objects. What is written otherwise, or is wrong, is not read here: whoever
asks reads it record by record, and says what is wrong in which.
"""

import codecs
from collections.abc import Callable, Iterator

from bacl.evaluation.number_lists import NumberReader
from bacl.evaluation.record_layout import SPACES, OtherLayoutError, Piece, RecordLayout

_PIECE = 1 << 18  # bytes: what is made of them stays in the caches of a processor
_LONGEST = 1 << 20  # bytes of a record


def read_pieces(read: Callable[[int], bytes]) -> Iterator[Piece]:
    """The records of a file, some thousand at a time.

    Args:
        read: gives so many bytes of the file more, none at its end.

    Raises:
        OtherLayoutError: the file is written in another way, or is no list of such records.
    """
    more = read(_PIECE).removeprefix(codecs.BOM_UTF8).lstrip(SPACES)
    if not more.startswith(b"["):
        raise OtherLayoutError
    more, rest, layout = more[1:].lstrip(SPACES), b"", None
    reader = NumberReader()
    while more:
        end = more.rfind(b"}") + 1
        if end:
            if layout is None:
                layout, expected = RecordLayout.of(rest + more), b""
            text = rest + more[:end]
            if not text.startswith(expected):
                raise OtherLayoutError
            yield layout.read(text[len(expected) :], reader)
            rest, expected = more[end:], layout.separator
        else:
            rest += more
        if len(rest) > _LONGEST:
            raise OtherLayoutError
        more = read(_PIECE)
    if rest.strip(SPACES) != b"]":
        raise OtherLayoutError
