"""Frames of a video as a data set for detection, decoded ahead; and the newest of a live one."""

from collections.abc import Iterator
from threading import Condition, Thread

from torch import nn
from torch.utils.data import IterableDataset, get_worker_info

from bacl.data.images.read_pictures import ReadPicture
from bacl.data.images.tiles import Tiling
from bacl.data.images.traits import Trait
from bacl.data.images.unannotated import without_objects
from bacl.data.images.video import NEXT, Video
from bacl.data.images.video_source import Frame

LAST = NEXT / 1000 + 1
"""Seconds for the last frame of a live source that is to be closed."""


class VideoFrames(IterableDataset[ReadPicture]):
    """All frames of a file in order, transformed, with the frames as they are.

    Each of several workers decodes the whole file, which is cheap, and transforms every n-th batch,
    which is not; a data loader takes batches from its workers in turn, so they come in order. Image
    ids are frames counted from 1.

    Args:
        source: of the video; every worker opens it by itself.
        transform: a v2 transform of a `Sample`, that of the test.
        batch_size: of the loader.
        start: batches that are passed over; their frames are not converted to pixels.
        tiling: of large frames.
    """

    def __init__(
        self,
        source: str | int,
        transform: nn.Module,
        batch_size: int,
        start: int = 0,
        tiling: Tiling | None = None,
    ) -> None:
        self.source = source
        self.transform = transform
        self.batch_size = batch_size
        self.first = start * batch_size
        self.tiling = tiling

    def __iter__(self) -> Iterator[ReadPicture]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        own = slice(number * self.batch_size, (number + 1) * self.batch_size)
        with Video(self.source) as video:
            for frame in video.frames(own, count * self.batch_size, self.first):
                yield read_frame(frame, self.transform, self.tiling)


def read_frame(frame: Frame, transform: nn.Module, tiling: Tiling | None = None) -> ReadPicture:
    """A frame as the network takes it."""
    image, target = without_objects(frame.picture, frame.number + 1, transform)
    divided = tiling is not None and tiling.divides(frame.picture)
    return ReadPicture(image, target, Trait(0), frame, frame.picture if divided else None)


class NewestFrame:
    """Frames of a live video as they are asked for: the newest, others are passed over.

    A thread reads all the time, so that what is looked at is what there is to be seen, however long
    the network takes.

    Args:
        video: is closed by the thread, which alone knows when it is done with it.
    """

    def __init__(self, video: Video) -> None:
        self._video = video
        self._changed = Condition()
        self._frame: Frame | None = None
        self._over = self._closed = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self, seconds: float) -> Frame | None:
        """The newest frame that was not taken yet; None where none comes in this time.

        Raises:
            Exception: what decoding has raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._over, seconds)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    @property
    def ended(self) -> bool:
        """Whether every frame that there will be was taken, and what decoding raised was raised."""
        with self._changed:
            return self._over and self._frame is None and self._error is None

    def close(self) -> None:
        """Read no more; a source that does not answer is not waited for longer than for a frame."""
        self._closed = True
        self._thread.join(LAST)

    def _read(self) -> None:
        try:
            for frame in self._video.frames():
                with self._changed:
                    self._frame = frame
                    self._changed.notify()
                if self._closed:
                    return
        except Exception as error:  # told by whoever asks for the next one
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()
            self._video.close()  # which may take its time
