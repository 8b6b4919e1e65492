"""HTML that is safe by construction: every text is escaped where it enters, once."""

import html
from collections.abc import Iterable

from bacl.messages.shown import visible_lines

VOID = {"br", "img", "input"}
"""Elements that have no end."""


class Markup(str):
    """HTML, which goes into other HTML as it is; any other text is escaped."""

    __slots__ = ()


def escaped(content: object) -> Markup:
    """A text that shows itself and does nothing else, whatever stands in it.

    >>> escaped("</script><img onerror=x>")
    '&lt;/script&gt;&lt;img onerror=x&gt;'
    """
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(visible_lines(str(content))))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(escaped(between).join(escaped(part) for part in parts))


def element(name: str, *children: object, **attributes: str | bool | None) -> Markup:
    """An element with its attributes and content.

    Args:
        name: of the element.
        *children: texts are escaped, `Markup` is not.
        **attributes: `class_` is class, `data_key` is data-key; True stands for an attribute
            without value, None and False for none.

    >>> element("a", "R&D", href="#x", class_="quiet", hidden=None)
    '<a href="#x" class="quiet">R&amp;D</a>'
    """
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if name in VOID else f"{joined(children)}</{name}>"
    return Markup(f"<{name}{said}>{end}")


def listed(items: Iterable[object]) -> Markup:
    """An unordered list; nothing where there is no item."""
    points = [element("li", item) for item in items]
    return element("ul", *points) if points else Markup("")


def defined(pairs: Iterable[tuple[object, object]]) -> Markup:
    """A list of terms with what they are."""
    return element(
        "dl",
        *(
            element("div", element("dt", term), element("dd", description))
            for term, description in pairs
        ),
    )
