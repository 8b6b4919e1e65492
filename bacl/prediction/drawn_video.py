"""A video with detections on it, drawn by threads beside the network, and encoded in order."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bacl.data.batch import Detections
from bacl.data.images.video_source import Frame
from bacl.prediction.behind import Behind
from bacl.prediction.drawn import AHEAD, WORKERS, Look
from bacl.prediction.output import Predicted
from bacl.reporting import figures
from bacl.reporting.video_file import VideoFile

VIDEO_SIDES = (32, 1920)
"""Pixels of the longer side of a drawn frame, at least and at most."""


class DrawnVideo(ExitStack):
    """<name>.mp4: all frames, drawn, at the rate of the video.

    Args:
        path: of the file.
        rate: frames a second.
        live: whether frames are as far apart as their moments say, and not as their numbers; what
            lies between two of them is filled, so that the video lasts as long as what it shows.
        look: of the detections.
    """

    def __init__(self, path: Path, rate: float, live: bool, look: Look) -> None:
        super().__init__()
        self._file = VideoFile(path, rate)
        self._rate, self._live, self._look = rate, live, look
        self._drawn: deque[tuple[Frame, Future[Any]]] = deque()

    @property
    def done(self) -> int:
        """Frames that were written."""
        return self._file.written

    def __enter__(self) -> Self:
        self.enter_context(self._file)
        self.push(self._finish)
        self._threads = self.enter_context(Behind(WORKERS, AHEAD))
        return self

    def write(self, batch: Predicted) -> None:
        """Begin to draw the frames of a batch, and encode those that are drawn."""
        for place, frame in enumerate(batch.frames):
            own = {head: each[place] for head, each in batch.accepted.items()}
            self._drawn.append((frame, self._threads.do(self._draw, frame, own)))
            while len(self._drawn) > AHEAD:
                self._encode(*self._drawn.popleft())

    def files(self, batch: Predicted) -> list[Path]:
        """See `Output`."""
        return [self._file.path]

    def _draw(self, frame: Frame, own: Mapping[str, Detections]) -> NDArray[np.uint8]:
        picture = frame.picture.permute(1, 2, 0).numpy()
        look = self._look
        return figures.drawn(picture, own, look.names, look.taken, VIDEO_SIDES)

    def _encode(self, frame: Frame, drawing: Future[Any]) -> None:
        place = round(frame.seconds * self._rate) if self._live else frame.number
        self._file.write(drawing.result(), max(1, place + 1 - self._file.written))

    def _finish(self, kind: type[BaseException] | None, *rest: object) -> None:
        while kind is None and self._drawn:
            self._encode(*self._drawn.popleft())
