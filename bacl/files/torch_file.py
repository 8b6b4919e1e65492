"""Files that `torch.save` wrote, read without executing anything in them."""

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bacl.files.kinds import UnreadableFileError, file_kind, is_archive
from bacl.messages.shown import shown

PROGRAM = "constants.pkl"
"""A file of the archives that `torch.jit.save` writes."""


def read_torch_file(
    path: Path,
    stand_ins: Callable[[Path], Mapping[str, Any]] | None = None,
    checksums: bool = True,
) -> Any:
    """What `torch.save` wrote, on the CPU: tensors and plain values; nothing is executed.

    An archive is read as a whole first and its checksums are compared, which torch does not do: a
    bit that fell over in a weight would be taken.

    Args:
        path: of the file.
        stand_ins: gives harmless classes by the names of those that a file asks for beside
            tensors; called when the archive was found whole.
        checksums: whether a file without them, as torch wrote before version 1.6, is refused.

    Raises:
        UnreadableFileError: it is another kind of file, is damaged, or asks for code.
    """
    if told := file_kind(path):
        raise UnreadableFileError(told)
    if is_archive(path):
        _check_archive(path)
    elif checksums:
        raise UnreadableFileError("damaged, or no file that torch wrote")
    given = stand_ins(path) if stand_ins else {}
    allowed: list[Any] = [(kind, name) for name, kind in given.items()]
    try:
        # What torch warns of are pickles that it did not write; those fail below or are harmless.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A pickle is a program: a damaged one fails with any error there is.
    except Exception as error:
        raise UnreadableFileError(_reason(error)) from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that is damaged, or that torch would not have written.

    What torch writes is not compressed and holds nothing twice: no file of it is larger than the
    archive, whatever it says of itself.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            whole = sum(entry.file_size for entry in entries) <= path.stat().st_size
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not (whole and stored and len(names) == len(entries)):
                raise UnreadableFileError("damaged, or an archive that torch did not write")
            if any(name.rpartition("/")[2] == PROGRAM for name in names):
                raise UnreadableFileError("a TorchScript program in place of weights")
            damaged = archive.testzip()
    except UnreadableFileError:
        raise
    # zipfile has its own error for some damages and the interpreter's for others.
    except Exception as error:
        raise UnreadableFileError("damaged or not complete: no whole archive") from error
    if damaged is not None:
        raise UnreadableFileError(f"damaged: the checksum of {shown(damaged)} is another")


def _reason(error: Exception) -> str:
    """The object that a file asks for, or that it is damaged; never torch's own advice."""
    text = str(error)
    asked = re.search(r"(?:unsupported global: GLOBAL|unsupported GLOBAL|GLOBAL) (\S+)", text, re.I)
    if asked:
        return f"it asks for {shown(asked[1])}, which is neither a tensor nor a plain value"
    if isinstance(error, MemoryError) or "allocate" in text:
        return "it asks for more memory than there is"
    return f"damaged, or no file that torch wrote ({type(error).__name__})"
