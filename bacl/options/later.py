"""Options that came after a configuration was recorded, and those that are no more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, is_typeddict

from bacl.options.marked import hint_of, is_free
from bacl.options.marks import bare

ABSENT = object()


@dataclass(frozen=True)
class Versions:
    """What a configuration that was recorded earlier and one of today know of each other.

    Options that a run may go on with other values of are not among it.
    """

    later: dict[str, Any] = field(default_factory=dict)
    """By path, today's values of the options that the record does not know. A node as a whole
    where it knows nothing of it; `[number]` in a path is an element of a list."""
    gone: dict[str, Any] = field(default_factory=dict)
    """By path, recorded values of options that there are no more."""


def compared(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Versions:
    """Look for options that only one of two configurations knows.

    A node has options where it is a section, or is built by the same `_target_` in both. What else
    differs is a difference between two configurations of one version: another class, another head
    or stage, or an entry more of a dictionary that an option is.

    >>> compared({"masks": False}, {"masks": False, "stage": None, "validation": {"every": None}})
    Versions(later={'validation': {'every': None}}, gone={})
    """
    found = Versions()
    _compare(recorded, now, "", found)
    return found


def completed(recorded: Any, later: Mapping[str, Any]) -> Any:
    """A recorded configuration with options that it does not know.

    Args:
        recorded: plain values; stays as it is.
        later: values by path, as in `Versions`.
    """
    return _completed(recorded, later, "")


def _compare(recorded: Any, now: Any, path: str, found: Versions) -> None:
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for number, (before, after) in enumerate(zip(recorded, now, strict=True)):
            _compare(before, after, f"{path}[{number}]", found)
    if not isinstance(recorded, dict) or not isinstance(now, dict):
        return
    if _has_options(recorded, now, path):
        for mine, others, into in ((now, recorded, found.later), (recorded, now, found.gone)):
            paths = {_at(path, key): mine[key] for key in mine if key not in others}
            into |= {at: value for at, value in paths.items() if not is_free(at)}
    for key in (key for key in recorded if key in now):
        _compare(recorded[key], now[key], _at(path, key), found)


def _has_options(recorded: Mapping[str, Any], now: Mapping[str, Any], path: str) -> bool:
    if "_target_" in now or "_target_" in recorded:
        return recorded.get("_target_") == now.get("_target_")
    return is_typeddict(bare(hint_of(path)))


def _completed(node: Any, later: Mapping[str, Any], path: str) -> Any:
    if isinstance(node, list):
        return [_completed(each, later, f"{path}[{n}]") for n, each in enumerate(node)]
    if not isinstance(node, dict):
        return node
    known = {key: _completed(value, later, _at(path, key)) for key, value in node.items()}
    start = f"{path}." if path else ""
    own = {at.removeprefix(start): value for at, value in later.items() if at.startswith(start)}
    return known | {k: v for k, v in own.items() if "." not in k and "[" not in k and k not in node}


def _at(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
