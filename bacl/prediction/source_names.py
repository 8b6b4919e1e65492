"""What results are called by, after what they are of."""

import os
from pathlib import Path, PurePosixPath

from bacl.data.images.video_source import is_address, names_video, without_password


def results_name(images: str) -> str:
    """Of the folder of results: that of the folder, file or video, or of the pattern's folder.

    >>> results_name("photos/2024/*.jpg"), results_name("photos/way.jpg"), results_name("0")
    ('2024', 'way', 'camera_0')
    """
    if names_video(images):
        return video_stem(without_password(images))
    path = Path(os.path.normpath(Path(images).absolute()))  # no `..`; links keep their names
    parts = [part for part in path.parts if not set(part) & set("*?[]")]
    return Path(parts[-1]).stem or "all"


def video_stem(name: str) -> str:
    """What files of a video are called by.

    >>> video_stem("films/way.mp4"), video_stem("0"), video_stem("rtsp://10.0.0.7:554/live/1?a=b")
    ('way', 'camera_0', '10.0.0.7_554_live_1')
    """
    if name.isdecimal():
        return f"camera_{name}"
    if not is_address(name):
        return PurePosixPath(Path(name).as_posix()).stem
    path = name.split("://", 1)[1].split("?")[0].rstrip("/")
    letters = (each if each.isalnum() or each in ".-" else "_" for each in path)
    return "".join(letters) or "stream"
