"""Pictures and videos with detections on them, drawn by threads beside the network."""

import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bacl.data.batch import Detections
from bacl.data.images.picture_file import Reading, read_picture
from bacl.data.images.video_source import Frame
from bacl.messages.dispensable import Dispensable
from bacl.prediction.behind import Behind
from bacl.prediction.output import Predicted
from bacl.reporting import figures
from bacl.reporting.video_file import VideoFile

WORKERS = min(4, os.cpu_count() or 1)
AHEAD = 2 * WORKERS
"""Pictures that may wait to be drawn: more would only fill the memory."""
VIDEO_SIDES = (32, 1920)
"""Pixels of the longer side of a drawn frame, at least and at most."""


@dataclass(frozen=True)
class Look:
    """What drawn detections are told with."""

    names: Sequence[str]
    """Of the categories, by label."""
    taken: str
    """By what detections were chosen."""


class DrawnPictures(ExitStack):
    """pictures/…: the first pictures, drawn; one that cannot be is told, and does not end the job.

    Args:
        folder: to draw into.
        source: folder of the pictures.
        names: of all pictures.
        reading: how pictures are read.
        look: of the detections.
        most: pictures to draw; None draws all.
    """

    def __init__(
        self,
        folder: Path,
        source: Path,
        names: Collection[str],
        reading: Reading,
        look: Look,
        most: int | None,
    ) -> None:
        super().__init__()
        self._drawn: list[str] = []
        self._folder, self._source, self._names = folder, source, frozenset(names)
        self._reading, self._look = reading, look
        self._left = len(self._names) if most is None else most

    @property
    def done(self) -> int:
        """Pictures that were drawn."""
        return len(self._drawn)

    def __enter__(self) -> Self:
        self._drawings = self.enter_context(Dispensable(f"{self._folder}: not drawn"))
        self._threads = self.enter_context(Behind(WORKERS, AHEAD))
        return self

    def write(self, batch: Predicted) -> None:
        """Begin to draw pictures of a batch."""
        wanted = batch.named[: self._left]
        self._left -= len(wanted)
        for place, named in enumerate(wanted):
            own = {head: each[place] for head, each in batch.accepted.items()}
            self._threads.do(self._draw, named.name, own)

    def _draw(self, name: str, own: Mapping[str, Detections]) -> None:
        with self._drawings.part(name):
            picture = read_picture(self._source / name, self._reading).permute(1, 2, 0).numpy()
            path = self._folder / drawn_name(name, self._names)
            figures.draw_predictions(path, picture, own, self._look.names, self._look.taken)
            self._drawn.append(name)  # of several threads


def drawn_name(name: str, names: Collection[str]) -> str:
    """The JPEG that a picture is drawn to: no other one of `names` is drawn to it."""
    if name.lower().endswith((".jpg", ".jpeg")):
        return name
    drawn = f"{name}.jpg"
    while drawn in names:
        drawn += ".jpg"
    return drawn


class DrawnVideo(ExitStack):
    """<name>.mp4: all frames, drawn, at the rate of the video.

    Args:
        path: of the file.
        rate: frames a second.
        live: whether frames are as far apart as their moments say; each stands until the next one.
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

    def _draw(self, frame: Frame, own: Mapping[str, Detections]) -> NDArray[np.uint8]:
        picture = frame.picture.permute(1, 2, 0).numpy()
        look = self._look
        return figures.drawn(picture, own, look.names, look.taken, VIDEO_SIDES)

    def _encode(self, frame: Frame, drawing: Future[Any]) -> None:
        due = round(frame.seconds * self._rate) + 1 - self._file.written
        self._file.write(drawing.result(), max(1, due) if self._live else 1)

    def _finish(self, kind: type[BaseException] | None, *rest: object) -> None:
        while kind is None and self._drawn:
            self._encode(*self._drawn.popleft())
