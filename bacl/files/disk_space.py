"""Room on the disk, looked at before gigabytes are written."""

import shutil
from pathlib import Path

from bacl.messages.errors import UserError


class NotEnoughSpaceError(UserError, OSError):
    """A disk without room for what is to be written."""


OF_DATA = "make room or put the data elsewhere (data.root)"


def require_space(folder: Path, needed: int, what: str, mend: str = OF_DATA) -> None:
    """Raise NotEnoughSpaceError unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpaceError(
            f"{what} needs {in_words(needed)} but the disk of {folder} has {in_words(free)} free; "
            f"{mend}"
        )


def in_words(size: int) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.1f} MB"
