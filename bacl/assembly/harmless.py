"""Whether the values of a configuration from a file can be built of: no code, no files, no end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.assembly.allowed import may_be_built
from bacl.messages.errors import UserError
from bacl.messages.shown import written
from bacl.options.marked import names_of_files

COUNTS = "bacl.data.statistics.CategoryStatistics"
"""What counts categories in a file; no file's node of it is used."""
LARGEST = 10_000_000
"""Of a number that is no seed: no size or count of a model is near it."""
SELECTED = re.compile(r"\$\{oc\.select:[\w.]+,\d{1,6}\}")
"""What stands for another option of the same configuration, or a number where it has none."""
LONGEST_SIDE = 8192
"""Of a whole number in a transform, where it may be a side of all pictures."""


class StoredConfigurationError(UserError, ValueError):
    """A configuration in a file asks for what only the command may ask for."""


def harmless(
    nodes: Mapping[str, Any],
    source: Path,
    counts: Mapping[str, Any],
    num_classes: int | None = None,
    refers: bool = False,
) -> dict[str, Any]:
    """Parts of a file's configuration without what they read, once they build what they may alone.

    Weights are left out, and counts of categories are those that are given.

    Args:
        nodes: parts of the configuration by their paths; `require_small` holds for them.
        source: the file, for the message.
        counts: configuration that stands for every count of categories.
        num_classes: what every option of that name must be, where it is known.
        refers: whether `${path}` may stand for another option of the same configuration.

    Raises:
        StoredConfigurationError: names file, path in the configuration and reason.
    """
    check = _Check(source, counts, num_classes, refers)
    return {path: check.checked(node, path) for path, node in nodes.items()}


def counts_categories(node: Any) -> bool:
    """Whether a node is one of those that count categories in a file."""
    return isinstance(node, dict) and node.get("_target_") in (
        f"{COUNTS}.load",
        f"{COUNTS}.unknown",
    )


def unknown_counts(labels: list[str]) -> dict[str, Any]:
    """A node for counts that read no file: a model is filled with the true ones, or thrown away.

    Args:
        labels: one for each category. Names are data, and might be read as interpolations.
    """
    return {"_target_": f"{COUNTS}.unknown", "names": labels}


@dataclass
class _Check:
    source: Path
    counts: Mapping[str, Any]
    num_classes: int | None
    refers: bool

    def checked(self, node: Any, path: str) -> Any:
        """What may be built of a node."""
        if isinstance(node, list):
            return [self.checked(value, f"{path}[{n}]") for n, value in enumerate(node)]
        if counts_categories(node):
            return dict(self.counts)
        if not isinstance(node, dict):
            self._refuse(path, self._refused_value(node, path))
            return node
        for key, value in node.items():  # before a class is asked for its options
            at = f"{path}.{key if _is_word(key) else written(key)}"
            self._refuse(at, self._refused_key(key, value))
        files = names_of_files(node, path)
        return {
            key: None if key in files else self.checked(value, f"{path}.{key}")
            for key, value in node.items()
        }

    def _refuse(self, path: str, reason: str | None) -> None:
        if reason:
            raise StoredConfigurationError(
                f"{self.source}: {path}: {reason}; nothing was built (where the model needs it, "
                "the command can describe it: +experiment=… with the options it was trained with)"
            )

    def _refused_key(self, key: Any, value: Any) -> str | None:
        if not _is_word(key):
            return "no name of an option"
        if key == "_target_":
            return None if may_be_built(value) else f"a file may not name {written(value)}"
        if key == "_partial_":
            return (
                None if isinstance(value, bool) else f"{written(value)} is neither true nor false"
            )
        if key.startswith("_"):
            return "no option of a saved configuration"
        if key != "num_classes" or self.num_classes is None:
            return None
        fits = type(value) is int and value == self.num_classes
        return None if fits else f"{written(value)}, but the file has {self.num_classes} categories"

    def _refused_value(self, value: Any, path: str) -> str | None:
        if value is None or isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            is_side = isinstance(value, int) and ".augment." in path
            largest = LONGEST_SIDE if is_side else LARGEST
            return None if path.endswith("seed") or abs(value) <= largest else f"above {largest:,}"
        if not isinstance(value, str):
            return f"{written(value)} is no value of a configuration"
        value = SELECTED.sub("", value) if self.refers else value
        if "${" in value and not (self.refers and ":" not in value):
            return f"{written(value)} is text, where a saved configuration has the value"
        if set(value) & set("/\\:"):
            return f"{written(value)}: paths and addresses are never taken from a file"
        return None


def _is_word(key: Any) -> bool:
    return isinstance(key, str) and key.isprintable() and not set(key) & set("${}[]/\\")
