"""The folder of a run is named by what was overridden, so that the same command finds it again."""

import hashlib
import re
from collections.abc import Sequence

# What does not change what is learned, or stands in the folder's path already.
UNNAMED = {
    *("experiment", "sweep", "name", "seed", "job", "checkpoint", "trainer", "logger", "report"),
    *("data.root", "data.train", "data.val", "datamodule.num_workers", "datamodule.val_batch_size"),
    "checkpoint_every_minutes",
}
LONGEST = 150  # file systems allow 255 bytes


def variant(overrides: Sequence[str]) -> str:
    """A folder name from command-line overrides, `default` where none of them changes the result.

    >>> variant(["+experiment=bacl_demo", "seed=1", "head.loss.alpha=0.7"])
    'head.loss.alpha=0.7'
    """
    named = sorted(text for text in overrides if not _is_unnamed(text.split("=")[0]))
    text = re.sub(r"[^A-Za-z0-9_.,=+~@-]+", "_", ",".join(named)) or "default"
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _is_unnamed(key: str) -> bool:
    parts = key.lstrip("+~").split(".")
    return any(".".join(parts[:length]) in UNNAMED for length in range(1, len(parts) + 1))
