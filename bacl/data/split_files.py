"""Annotation files in a folder, and the splits that names of files and folders say."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

SplitName = Literal["train", "val"]
WORDS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
"""In names of files and folders."""
OTHER_TASKS = ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_")
"""How COCO's files of other tasks begin, which lie beside those of objects."""
AT_REST = 10**10
"""Nanoseconds without a change; file systems tell times to some milliseconds, some to two seconds.
"""


def json_files(folder: Path) -> Iterator[Path]:
    """Those that may hold annotations of objects, in order."""
    inside = sorted(path for path in children(folder) if path.is_dir())
    searched = [path for path in inside if path.name == "annotations" or said_by(path.name)]
    for place in (folder, *searched):
        for path in children(place):
            if path.suffix.lower() == ".json" and not path.name.startswith((*OTHER_TASKS, ".")):
                yield path


def children(folder: Path) -> Sequence[Path]:
    """The folders and json files in a folder, in order; none where there is no such folder.

    Options are looked at many times before a training, and a folder of pictures may hold 100,000:
    one that has been at rest for a while is read once.
    """
    if not folder.is_dir():
        return ()
    status = folder.stat()
    changed = status.st_mtime_ns, status.st_ctime_ns  # a copy of files may set the first back
    # One that has just changed may change again without its time telling.
    read = _read if time.time_ns() - max(changed) > AT_REST else _read.__wrapped__
    return read(folder, changed)


@lru_cache(maxsize=64)
def _read(folder: Path, changed: tuple[int, int]) -> tuple[Path, ...]:
    """Of a folder that changed at these times."""
    with os.scandir(folder) as entries:
        kept = [e.path for e in entries if e.name.lower().endswith(".json") or e.is_dir()]
    return tuple(sorted(map(Path, kept)))


def said_by(name: str) -> str | None:
    """The split that a name says, if it says one."""
    words = set(re.findall("[a-z]+", name.lower()))
    said = [split for split, meaning in WORDS.items() if words & meaning]
    return said[0] if len(said) == 1 else None


def split_of(file: Path, root: Path) -> str | None:
    """The split that the name of a file says, or else that of its folder, below `root`."""
    return said_by(file.stem) or (said_by(file.parent.name) if file.parent != root else None)
