"""Colours of the groups of categories, in every figure the same."""

from dataclasses import dataclass

from bacl.evaluation.groups import Grouping


@dataclass(frozen=True, slots=True)
class Shade:
    """How figures show a group."""

    colour: str
    """Of its boxes and labels."""
    tint: str
    """Of the background behind its categories."""


TAIL = (
    Shade("#c92a2a", "#fbe9e7"),
    Shade("#b8730a", "#fdf4dc"),
    Shade("#2b8a3e", "#e6f4e8"),
    Shade("#7048a8", "#f0eaf7"),
)
"""From the least training data on; repeats after four."""
HEAD = Shade("#1864ab", "#e4f0f8")
"""The group with the most training data."""


def shades(grouping: Grouping) -> dict[str, Shade]:
    """The shade of each group by its key, groups without categories included."""
    keys = [group.key for group in grouping.groups]
    tail = {key: TAIL[position % len(TAIL)] for position, key in enumerate(keys[:-1])}
    return {**tail, keys[-1]: HEAD}
