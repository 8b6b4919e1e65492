"""Texts that come from data, as a terminal and a page can show them."""

import sys
import unicodedata

ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what acts on the text around it, or is no character at all."""
JOINERS = "\u200c\u200d"
"""Also of them, and needed: Persian and Indic words, and many emoji, are spelt with them."""


def visible(text: str) -> str:
    r"""A text that does nothing but show itself, in one line.

    Terminal escapes, line breaks, marks that turn the direction of writing and bytes of another
    encoding appear as Python would write them.

    >>> print(visible("a\x1b[31m\nb"))
    a\x1b[31m\nb
    """
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in ACTING or character in JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> str:
    """As `visible`, for a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def accept_all_letters() -> None:
    """Let this process print any text in any locale: what cannot be shown appears as an escape."""
    for stream in (sys.stdout, sys.stderr):
        # A test or a notebook may have put something else in their place.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
