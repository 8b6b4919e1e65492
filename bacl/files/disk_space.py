"""Room on the disk, looked at before gigabytes are written."""

import shutil
from pathlib import Path

from bacl.messages.errors import UserError


class NotEnoughSpaceError(UserError, OSError):
    """A disk without room for what is to be written."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise NotEnoughSpaceError unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpaceError(
            f"{what} needs {_told(needed)} but the disk of {folder} has {_told(free)} free; make "
            "room or put the data elsewhere (data.root)"
        )


def _told(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.1f} MB"
