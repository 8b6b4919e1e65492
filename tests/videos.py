"""Videos of a few frames, whose brightness says which one it is."""

from pathlib import Path

import numpy as np

from bacl.reporting.video_file import VideoFile

STEP = 20


def write_video(path: Path, count: int, size: tuple[int, int] = (48, 64), rate: float = 10) -> Path:
    """Frames of one grey each: `STEP` times the frame's number."""
    with VideoFile(path, rate) as video:
        for number in range(count):
            video.write(np.full((*size, 3), STEP * number, dtype=np.uint8))
    return path


def number_of(picture) -> int:
    """Of a frame (3, H, W) of such a video."""
    return round(float(picture.float().mean()) / STEP)
