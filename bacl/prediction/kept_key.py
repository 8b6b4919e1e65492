"""What detections depend on: an interrupted prediction goes on where nothing of it has changed."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL
import torch
import torchvision

from bacl.data.images.image_folder import FoundImages
from bacl.data.images.video import DECODER
from bacl.files.digests import read_digest

PACKAGE = Path(__file__).parents[1]


def prediction_key(found: FoundImages, model: str, options: Mapping[str, Any]) -> str:
    """A digest of all that detections depend on, this program among it.

    Args:
        found: the pictures; their names, sizes and times count.
        model: digest of the checkpoint.
        options: of the command, but for those that say what is made of detections.
    """
    said = json.dumps([_program(), model, options], sort_keys=True)
    whole = hashlib.blake2b(said.encode(), digest_size=16)
    for name in found.names:
        try:
            status = (found.folder / name).stat()
            # The last one changes with permissions, too, for want of which it was not read.
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError:  # it is told when it is read
            state = "missing"
        whole.update(os.fsencode(f"{name}\0{state}\0"))
    return whole.hexdigest()


def _program() -> list[str]:
    """Every line of this package, and the libraries that read pictures, videos and do the sums."""
    libraries = [library.__version__ for library in (torch, torchvision, PIL)]
    return [read_digest(sorted(PACKAGE.rglob("*.py"))), *libraries, DECODER]
