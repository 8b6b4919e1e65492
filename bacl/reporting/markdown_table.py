"""Tables in Markdown: columns of names, then columns of numbers."""

from collections.abc import Iterable, Sequence

from bacl.messages.shown import as_markdown


def header(names: Sequence[str], titles: Sequence[str]) -> list[str]:
    """The first two lines; titles may come from data."""
    return [row(names, map(as_markdown, titles)), "|---" * len(names) + "|" + "---:|" * len(titles)]


def row(names: Sequence[str], cells: Iterable[str]) -> str:
    """A line of cells that are Markdown already."""
    return "| " + " | ".join([*names, *cells]) + " |"
