"""Paths in overrides: the names of run folders have what Hydra's grammar keeps for itself."""

import os
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def quoted(text: str) -> str:
    """A value that Hydra's grammar takes as this text, whatever is in it."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"


def with_quoted_paths(override: str) -> str:
    """An override whose paths need no quotes: they are put where Hydra would want them.

    A path is what exists, or has a slash where the grammar takes no other meaning. Several paths
    with commas between are a sweep over them, unless there is one of that very name.

    >>> with_quoted_paths("checkpoint=runs/head.loss.alpha=0.7/final.ckpt")
    "checkpoint='runs/head.loss.alpha=0.7/final.ckpt'"
    """
    key, equals, value = override.partition("=")
    if override.startswith("-") or not value or value[0] in "\"'[{":
        return override
    refused = not _is_understood(override)
    if not refused and ("," not in value or not _exists(value)):
        return override
    paths = _existing(value.split(","))
    if not paths:
        paths = [value] if refused and os.sep in value else []
    return f"{key}{equals}{','.join(map(quoted, paths))}" if paths else override


def _is_understood(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _existing(pieces: list[str]) -> list[str]:
    """The pieces joined to as few paths as possible that all exist; empty if they do not."""
    for count in range(len(pieces), 0, -1):
        first, rest = ",".join(pieces[:count]), pieces[count:]
        if first and _exists(first):
            others = _existing(rest)
            if others or not rest:
                return [first, *others]
    return []


def _exists(text: str) -> bool:
    return os.path.exists(text)  # noqa: PTH110  (a sweep is too long for a name: Path's raises)
