"""Harmless classes in place of those that another project's checkpoint was written with.

MMDetection 3 keeps its log (`HistoryBuffer`, numpy's arrays in it) and other objects beside the
weights. None of them is wanted; each becomes a `StandIn`, which takes whatever the file says of the
object and forgets it. Nothing is imported, and no code of another project runs.
"""

import pickletools
import sys
from pathlib import Path
from typing import Any

import torch

from bacl.files.kinds import UnreadableFileError, is_archive
from bacl.messages.shown import shown

DEFAULTS = "collections.defaultdict"
DATA = (
    *("builtins.getattr", "builtins.object", "builtins.slice", "builtins.range"),
    *("builtins.list", "builtins.dict", "builtins.tuple", "builtins.int", "builtins.float"),
    *("builtins.str", "builtins.bytes", "builtins.bool", "builtins.type"),
    *("builtins.frozenset", DEFAULTS, "collections.deque", "argparse.Namespace"),
    *("copyreg._reconstructor", "datetime.date", "datetime.datetime", "datetime.timedelta"),
    *("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
    *("enum.Enum", "functools.partial", "decimal.Decimal", "fractions.Fraction", "uuid.UUID"),
)
"""Of Python's own names those that describe values, and `getattr`, by which pickles name methods;
others, as `os.system`, have no business in a checkpoint."""


class StandIn(list[Any]):
    """An object of which nothing is kept; a list, as pickles append to lists only."""

    def __new__(cls, *args: Any, **options: Any) -> "StandIn":
        """Whatever the class would be given."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Whatever the object was."""


def stand_ins(path: Path) -> dict[str, Any]:
    """What stands in for each name that a file asks for beside tensors.

    Raises:
        UnreadableFileError: the file asks for Python's or torch's functions.
    """
    try:
        names = _asked_in_archive(path) if is_archive(path) else _asked_in_pickles(path)
    # A damaged pickle fails with any error there is; the reader meets it again and tells of it.
    except Exception:
        return {}
    for name in sorted(names):
        if name not in DATA and _foundation(name):
            raise UnreadableFileError(
                f"it asks for {shown(name)}, which is neither a tensor nor a plain value"
            )
    return {name: _stand_in(name) for name in names}


def _stand_in(name: str) -> Any:
    # Pickles fill a defaultdict item by item, as they do with nothing but dictionaries.
    return _dictionary if name == DEFAULTS else type("StandIn", (StandIn,), {})


def _dictionary(*_: Any) -> dict[Any, Any]:
    return {}


def _asked_in_archive(path: Path) -> set[str]:
    return set(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))


def _asked_in_pickles(path: Path) -> set[str]:
    """The names in a file from before torch 1.6, which begins with four pickles.

    Python's and torch's own are left to the reader, which knows those that tensors are made of.
    """
    with path.open("rb") as file:
        operations = [each for _ in range(4) for each in pickletools.genops(file)]
    names = {str(name).replace(" ", ".") for code, name, _ in operations if code.name == "GLOBAL"}
    return {name for name in names if not _foundation(name)}


def _foundation(name: str) -> bool:
    """Whether a name is Python's or torch's: what this process could run."""
    module = name.partition(".")[0]
    return module in sys.stdlib_module_names or module in ("torch", "__builtin__")
