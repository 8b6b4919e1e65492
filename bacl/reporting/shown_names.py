"""Names from data in tables: shown literally, in one line, and not at any length."""

import re

from bacl.messages.terminal import visible

LONGEST = 80
"""Characters of a name in a table."""
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)")


def shown(name: str, longest: int = LONGEST) -> str:
    """A name for people: nothing in it acts, a long one is cut off, an empty one is quoted.

    >>> shown("cup"), shown(" "), shown("abcdef", longest=4)
    ('cup', '" "', 'abc…')
    """
    text = visible(name[: longest + 1])
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text if text.strip() else f'"{text}"'


def as_markdown(text: str) -> str:
    r"""A text as Markdown that reads as it: no cell, emphasis, HTML or mathematics.

    >>> print(as_markdown("a|b <i> $x$ snake_case"))
    a\|b \<i\> \$x\$ snake_case
    """
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text))
