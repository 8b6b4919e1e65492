"""What names a video, and what a frame of one is; what decodes them is in `video`."""

import re
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m2ts", "mts", "ts", "wmv"),
        *("flv", "3gp", "ogv"),
    )
)
"""What video files end in."""
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class Frame(NamedTuple):
    """One picture of a video."""

    number: int
    """From 0; of a live source those that were passed over count too."""
    seconds: float
    """Since the first one; by the clock where the source is live."""
    picture: Tensor
    """(3, H, W) uint8 RGB."""


def is_video(source: str | int) -> bool:
    """Whether this names a video: a camera's number, an address, or a file by how its name ends.

    >>> [is_video(each) for each in (0, "0", "rtsp://10.0.0.7/1", "way.MP4", "way.jpg", "photos")]
    [True, True, True, True, False, False]
    """
    text = str(source)
    return text.isdecimal() or is_address(text) or Path(text).suffix.lower() in SUFFIXES


def is_address(text: str) -> bool:
    """Whether this is an address, such as rtsp://…, and no path."""
    return _ADDRESS.match(text) is not None


def without_password(source: str) -> str:
    """An address as it may be shown and written down.

    >>> without_password("rtsp://admin:secret@10.0.0.7:554/1")
    'rtsp://10.0.0.7:554/1'
    """
    return re.sub(r"(?<=://)[^/@]*@", "", source)
