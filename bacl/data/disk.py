"""Room on the disk, looked at before gigabytes are written."""

import shutil
from pathlib import Path

from bacl.errors import UserError


class NotEnoughSpaceError(UserError, OSError):
    """A disk without room for what is to be written."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise NotEnoughSpaceError unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpaceError(
            f"{what} needs {needed / 1e9:.1f} GB but the disk of {folder} has {free / 1e9:.1f} GB "
            "free; make room or put the data elsewhere (data.root)"
        )
