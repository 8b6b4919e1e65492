"""Videos of a few frames, whose brightness says which one it is."""

from pathlib import Path

import cv2
import numpy as np

from bacl.reporting.video_file import VideoFile

STEP = 20


def write_video(path: Path, count: int, size: tuple[int, int] = (48, 64), rate: float = 10) -> Path:
    """Frames of one grey each: `STEP` times the frame's number."""
    with VideoFile(path, rate) as video:
        for number in range(count):
            video.write(np.full((*size, 3), STEP * number, dtype=np.uint8))
    return path


def write_damaged_video(path: Path, count: int, damaged: int) -> Path:
    """The same as an .avi of JPEGs, of which one is zeros."""
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 10, (64, 64))
    for number in range(count):
        video.write(np.full((64, 64, 3), STEP * number, dtype=np.uint8))
    video.release()
    head, movi, rest = path.read_bytes().partition(b"movi")
    chunks = rest.split(b"00dc")  # those of the frames, after an empty one, then their index
    own = chunks[damaged + 1]
    chunks[damaged + 1] = own[:4] + bytes(len(own) - 4)  # after its length
    path.write_bytes(head + movi + b"00dc".join(chunks))
    return path


def number_of(picture) -> int:
    """Of a frame (3, H, W) of such a video."""
    return round(float(picture.float().mean()) / STEP)
