"""Names of tensors from one project's into another's, by rows of patterns."""

import re
from collections.abc import Iterable
from functools import reduce


def renamed(name: str, rows: Iterable[tuple[str, str]]) -> str | None:
    """What the first row with a fitting pattern makes of a name; None where none fits.

    Args:
        name: of a tensor.
        rows: (pattern, goal): `#` stands for the same number on both sides, `*` for the same rest.

    >>> renamed("layer1.0.weight", [("layer#.*", "stages.#.*")])
    'stages.1.0.weight'
    """
    for source, goal in rows:
        if found := re.fullmatch(_expression(source), name):
            return reduce(_filled, found.groups(), goal)
    return None


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of several such patterns."""
    return any(re.fullmatch(_expression(pattern), name) for pattern in patterns)


def _filled(goal: str, part: str) -> str:
    return re.sub(r"[#*]", part, goal, count=1)


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
