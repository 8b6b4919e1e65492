"""Whether the values of a configuration from a file can be built of: no code, no files, no end."""

from collections.abc import Iterator, Mapping
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
LONGEST_SIDE = 8192
"""Of a whole number in a transform, where it may be a side of all pictures."""


class StoredConfigurationError(UserError, ValueError):
    """A configuration in a file asks for what only the command may ask for."""


def require_harmless(
    nodes: Mapping[str, Any], source: Path, num_classes: int | None = None, refers: bool = False
) -> None:
    """Refuse values of a file's configuration unless they are plain and build what they may.

    Args:
        nodes: parts of the configuration by their paths; `require_small` holds for them.
        source: the file, for the message.
        num_classes: what every option of that name must be, where it is known.
        refers: whether `${path}` may stand for another option of the same configuration.

    Raises:
        StoredConfigurationError: names file, path in the configuration and reason.
    """
    check = _Check(num_classes, refers)
    for start, node in nodes.items():
        for path, reason in check.refusals(node, start):
            raise StoredConfigurationError(
                f"{source}: {path}: {reason}; nothing was built (where the model needs it, the "
                "command can describe it: +experiment=… with the options it was trained with)"
            )


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


class _Check:
    def __init__(self, num_classes: int | None, refers: bool) -> None:
        self.num_classes = num_classes
        self.refers = refers

    def refusals(self, node: Any, path: str) -> Iterator[tuple[str, str]]:
        """Paths of what may not be, each with the reason."""
        if isinstance(node, list):
            for number, value in enumerate(node):
                yield from self.refusals(value, f"{path}[{number}]")
        elif isinstance(node, dict):
            if not counts_categories(node):
                yield from self._refused_node(node, path)
        elif reason := self._refused_value(node, path):
            yield path, reason

    def _refused_node(self, node: dict[Any, Any], path: str) -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            if reason := self._refused_key(key, value):
                yield f"{path}.{key if _is_word(key) else written(key)}", reason
                return  # before a class is asked for its options
        files = names_of_files(node, path)
        for key, value in node.items():
            if key not in files:
                yield from self.refusals(value, f"{path}.{key}")

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
        if "${" in value and not (self.refers and ":" not in value):
            return f"{written(value)} is text, where a saved configuration has the value"
        if set(value) & set("/\\:"):
            return f"{written(value)}: paths and addresses are never taken from a file"
        return None


def _is_word(key: Any) -> bool:
    return isinstance(key, str) and key.isprintable() and not set(key) & set("${}[]/\\")
