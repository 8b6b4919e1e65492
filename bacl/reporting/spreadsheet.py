r"""CSV files that a spreadsheet, a terminal and a program all read as what they say.

A spreadsheet computes a cell that begins like a formula: such a text gets an apostrophe in front.
Control characters become escapes. Both are undone by `text_of`, so that reading our own files gives
the same names; ordinary names are written as they are.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from bacl.files.atomic import replacing
from bacl.messages.shown import visible

_FORMULA = re.compile(r"['\s]*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ESCAPE = re.compile(r"\\(\\|[tnr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows, the header being the first, as a whole or not at all.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerows([cell_of(value) for value in row] for row in rows)


def cell_of(value: object) -> object:
    r"""What stands in the file: texts are defused, numbers stay numbers.

    >>> cell_of('=HYPERLINK("http://x")'), cell_of(-1.5), cell_of("-1.50"), cell_of("US$ \\foo $")
    ('\'=HYPERLINK("http://x")', -1.5, '-1.50', 'US$ \\foo $')
    """
    if not isinstance(value, str):
        return value
    text = value
    if visible(text) != text or _ESCAPE.search(text):
        text = visible(text.replace("\\", "\\\\"))
    defused = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if defused else text


def text_of(cell: str) -> str:
    r"""The text whose `cell_of` this is.

    >>> text_of("'=1+1"), text_of("a\\x1b"), text_of("'s-Hertogenbosch")
    ('=1+1', 'a\x1b', "'s-Hertogenbosch")
    """
    text = cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    if found[1] == "\\":
        return "\\"
    # An escape of its own is ASCII, and means itself.
    return found[0].encode("ascii").decode("unicode_escape", "surrogatepass")
