"""What files of a run hold, as plain values: an interpolation in them is text.

The environment and the resolvers of the process that reads a file are none of its business.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from bacl.messages.errors import UserError, in_one_line

DEEPEST, MOST = 50, 500_000
"""Levels and values of a configuration; a file of a few bytes can repeat its parts without end."""
MISSING = object()
"""What `select` gives where there is nothing."""


def read_yaml(path: Path, mend: str = "delete it or its folder") -> Any:
    """The plain values in a YAML file.

    Args:
        path: of the file.
        mend: of one that is damaged; the default is for what was written by a run.

    Raises:
        UserError: the file is unreadable, damaged, or larger than any configuration.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        require_small(values)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = in_one_line(error)[:200]
        raise UserError(f"{path} is damaged ({reason}); {mend}") from error
    return values


def read_overrides(path: Path) -> list[str]:
    """The overrides that a run was started with, from its `.hydra/overrides.yaml`.

    Raises:
        UserError: the file is unreadable or damaged.
    """
    values = read_yaml(path)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{path} is damaged (it is no list of options); delete it or its folder")
    return values


def select(node: Any, path: str) -> Any:
    """A value of a file's configuration, or `MISSING`."""
    for key in path.split("."):
        node = node.get(key, MISSING) if isinstance(node, dict) else MISSING
    return node


def require_small(values: Any) -> None:
    """Refuse what is nested or repeated without end.

    Raises:
        ValueError: says which.
    """
    level, seen = [values], 0
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        seen += len(level)
        if not level:
            return
        if seen > MOST:
            raise ValueError(f"more than {MOST:,} values")
    raise ValueError(f"more than {DEEPEST} levels")


def _inside(value: Any) -> Collection[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
