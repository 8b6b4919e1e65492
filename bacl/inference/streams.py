"""Frames of a video with what a model finds in them, for Python programs."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacl.data.images.video import Video
from bacl.data.images.video_frames import NewestFrame
from bacl.data.images.video_source import Frame
from bacl.inference.picture_detections import PictureDetections
from bacl.inference.pictures import Picture


class StreamedFrame(NamedTuple):
    """A frame of a video, and its detections."""

    number: int
    """From 0."""
    seconds: float
    """Since the first one; by the clock where the source is live."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB; OpenCV shows and writes `picture[..., ::-1]`."""
    detections: PictureDetections
    """In pixels of the picture."""


def streamed(
    source: str | int, detect: Callable[[Sequence[Picture]], list[PictureDetections]], size: int
) -> Iterator[StreamedFrame]:
    """Frames in order, so many at once; of a live source the newest ones, each alone.

    Args:
        source: a video file, a camera's number or an address.
        detect: finds objects in a few pictures.
        size: frames that go through the network together.
    """
    video = Video(source)
    live = video.facts.live
    with closing(_newest(video) if live else _all(video)) as frames:
        while together := list(islice(frames, 1 if live else size)):
            found = detect([frame.picture for frame in together])
            yield from _joined(together, found)


def _joined(frames: Iterable[Frame], found: Iterable[PictureDetections]) -> Iterator[StreamedFrame]:
    for frame, detections in zip(frames, found, strict=True):
        picture = frame.picture.permute(1, 2, 0).numpy()
        yield StreamedFrame(frame.number, frame.seconds, picture, detections)


def _all(video: Video) -> Generator[Frame, None, None]:
    with video:
        yield from video.frames()


def _newest(video: Video) -> Generator[Frame, None, None]:
    newest = NewestFrame(video)
    try:
        while not newest.ended:
            frame = newest.next(1.0)
            if frame is not None:
                yield frame
    finally:
        newest.close()
