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


def names_video(given: str) -> bool:
    """Whether this is a video or an address, and no folder or pattern that looks like one.

    >>> [names_video(each) for each in ("http://cam/x?res=1", "rtsp://[::1]:554/1", "a/*.mp4")]
    [True, True, False]
    """
    if is_address(given):
        return True
    path, pattern = Path(given), bool(set(given) & set("*?["))
    return is_video(given) and not path.is_dir() and (path.is_file() or not pattern)


def is_address(text: str) -> bool:
    """Whether this is an address, such as rtsp://…, and no path."""
    return _ADDRESS.match(text) is not None


def without_password(source: str) -> str:
    """An address as it may be shown and written down: no user, no password, no query.

    A password may have any letter: all before the last @ is cut, rather too much than too little.

    >>> without_password("rtsp://admin:secret@10.0.0.7:554/1")
    'rtsp://10.0.0.7:554/1'
    >>> without_password("rtsp://admin:p@ss@10.0.0.7/1"), without_password("rtsp://a:p/?s@10.0.0.7/1")
    ('rtsp://10.0.0.7/1', 'rtsp://10.0.0.7/1')
    >>> without_password("http://cam/x?user=a&password=secret"), without_password("films/a@b?.mp4")
    ('http://cam/x', 'films/a@b?.mp4')
    """
    address = _ADDRESS.match(source)
    if address is None:
        return source
    place = source[address.end() :].rpartition("@")[2]
    return address[0] + re.split("[?#]", place, maxsplit=1)[0]
