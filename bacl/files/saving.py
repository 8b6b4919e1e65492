"""Tensors to a file, as a whole or not at all."""

from pathlib import Path
from typing import Any

import torch

from bacl.files.atomic import replacing


def save(content: dict[str, Any], path: Path) -> None:
    """Write what `torch.load` reads.

    Raises:
        UnwritableError: the disk is full, or refuses the file.
    """
    # torch opens a path by itself and then knows no reason why a write failed; a file tells.
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # Where the disk refuses a write, torch closes its archive and fails at that, too: what
            # came first is the cause.
            raise error from error.__context__
