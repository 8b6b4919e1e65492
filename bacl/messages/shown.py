"""Texts and values that come from data or a file, as a terminal and a page can show them."""

import json
import re
import reprlib
import shlex
import sys
import unicodedata
from numbers import Number

ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what acts on the text around it, or is no character at all."""
JOINERS = "\u200c\u200d"
"""Also of them, and needed: Persian and Indic words, and many emoji, are spelt with them."""
LONGEST = 80
"""Characters of a name in a table, and of a value in a message."""
_UNQUOTED = re.compile(r"[A-Za-z0-9_./%@+-]+")
"""Values that Hydra takes as texts or numbers without quotes."""
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)")


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


def shown(text: object, longest: int = LONGEST) -> str:
    """A text for people: nothing in it acts, a long one is cut off, an empty one is quoted.

    >>> shown("cup"), shown(" "), shown("abcdef", longest=4)
    ('cup', '" "', 'abc…')
    """
    cut = visible(str(text)[: longest + 1])
    cut = cut if len(cut) <= longest else f"{cut[: longest - 1]}…"
    return cut if cut.strip() else f'"{cut}"'


def span(low: int, high: int) -> str:
    """A range of whole numbers, for people.

    >>> span(3, 1200), span(7, 7)
    ('3 to 1,200', '7')
    """
    return f"{low:,} to {high:,}" if low != high else f"{low:,}"


def as_markdown(text: str) -> str:
    r"""A text as Markdown that reads as it: no cell, emphasis, HTML or mathematics.

    >>> print(as_markdown("a|b <i> $x$ snake_case"))
    a\|b \<i\> \$x\$ snake_case
    """
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text))


def written(value: object) -> str:
    """A plain value, of whatever size and depth, as Python writes it; of any other its kind.

    >>> print(written({"bbox": [1, 2.5, None]}), written("two words"), written(print))
    {'bbox': [1, 2.5, None]} 'two words' a builtin_function_or_method
    """
    return shown(_SHORT.repr(value))


def as_typed(value: object) -> str:
    """A value as one would type it in a command.

    >>> as_typed("SGD"), as_typed(None), as_typed([1, True]), as_typed("")
    ('SGD', 'null', '[1, true]', "''")
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown(" ".join(text.split()) or "''")


def typed_option(option: str, value: object) -> str:
    """An option as it is typed in a shell: in quotes for Hydra, too, where that needs them.

    >>> print(typed_option("data.root", "my/data"), typed_option("data.root", "Größe"))
    data.root=my/data 'data.root='"'"'Größe'"'"''
    """
    text = str(value)
    if not _UNQUOTED.fullmatch(text):
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
        escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
        text = f"'{escaped}'"
    return shlex.quote(f"{option}={text}")


class _Short(reprlib.Repr):
    """Looks at no more of a value than is told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict, self.maxstring = 4, 30, 10, LONGEST

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python writes no number of more than 4300 digits
            return self._kind(x)

    def repr_instance(self, x: object, level: int) -> str:
        return str(x) if x is None or isinstance(x, Number) else self._kind(x)

    def _kind(self, x: object) -> str:
        return f"a {type(x).__name__}"


_SHORT = _Short()


def accept_all_letters() -> None:
    """Let this process print any text in any locale: what cannot be shown appears as an escape."""
    for stream in (sys.stdout, sys.stderr):
        # A test or a notebook may have put something else in their place.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
