"""A video file, written frame by frame as a whole or not at all."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from bacl.files.atomic import UnwritableError, replacing

CODE = "mp4v"
"""MPEG-4 Part 2: what every OpenCV can encode, and fast."""


class VideoFile(ExitStack):
    """An .mp4 of frames of one size, that of the first; others are scaled to it.

    Args:
        path: the file; it appears when the block ends without an error.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        super().__init__()
        self.path = path
        self.written = 0
        """Frames."""
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._sides = 0, 0

    def __enter__(self) -> Self:
        self._temporary = self.enter_context(replacing(self.path))
        self.push(self._end)
        return self

    def write(self, picture: NDArray[np.uint8], times: int = 1) -> None:
        """Append a picture (H, W, 3) uint8 RGB, so many times.

        Raises:
            UnwritableError: it cannot be encoded here.
        """
        if self._writer is None:
            self._open(picture)
        assert self._writer is not None
        bgr = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
        if bgr.shape[1::-1] != self._sides:
            bgr = cv2.resize(bgr, self._sides, interpolation=cv2.INTER_AREA)
        for _ in range(times):
            self._writer.write(bgr)
            self.written += 1

    def _open(self, picture: NDArray[np.uint8]) -> None:
        height, width = picture.shape[:2]
        self._sides = width - width % 2, height - height % 2  # of subsampled colours
        code = cv2.VideoWriter.fourcc(*CODE)
        self._writer = cv2.VideoWriter(
            str(self._temporary), cv2.CAP_FFMPEG, code, self._rate, self._sides
        )
        if not self._writer.isOpened():
            raise UnwritableError(
                f"{self.path} cannot be written: OpenCV encodes no {width} x {height} pixels here; "
                "predict.pictures=0 does without a video"
            )

    def _end(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None and self.written:
            self._check()

    def _check(self) -> None:
        """OpenCV says nothing of a full disk: what it has written is looked at."""
        whole = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
        count = int(whole.get(cv2.CAP_PROP_FRAME_COUNT)) if whole.isOpened() else 0
        whole.release()
        if count < self.written:
            raise UnwritableError(
                f"{self.path} cannot be written: {count} of {self.written} frames are in it; free "
                "some space, or write to another disk with predict.output=…"
            )
