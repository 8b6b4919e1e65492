"""What detections depend on: an interrupted prediction goes on where nothing of it has changed."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from bacl.data.images.image_folder import FoundImages


def prediction_key(found: FoundImages, model: str, options: Mapping[str, Any]) -> str:
    """A digest of all that detections depend on.

    Args:
        found: the pictures; their names, sizes and times count.
        model: digest of the checkpoint.
        options: of the command, but for those that say what is made of detections.
    """
    whole = hashlib.blake2b(json.dumps([model, options], sort_keys=True).encode(), digest_size=16)
    for name in found.names:
        try:
            status = (found.folder / name).stat()
            # The last one changes with permissions, too, for want of which it was not read.
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError:  # it is told when it is read
            state = "missing"
        whole.update(os.fsencode(f"{name}\0{state}\0"))
    return whole.hexdigest()
