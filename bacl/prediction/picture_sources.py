"""Where pictures come from: a folder, a file, a pattern, a video, a camera or an address."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Protocol

from torch import nn
from torch.utils.data import DataLoader, Subset

from bacl.data.batch import Target
from bacl.data.images.image_folder import (
    Collated,
    FoundImages,
    PictureDataset,
    collate_readable,
)
from bacl.data.images.picture_file import Reading
from bacl.data.images.tiles import Tiling
from bacl.data.images.video import Video, VideoError
from bacl.data.images.video_frames import NewestFrame, VideoFrames, read_frame
from bacl.data.images.video_source import Frame, is_address
from bacl.prediction.output import Named
from bacl.prediction.yolo_files import label_names
from bacl.processes.interruption import INTERRUPTION

SURELY = 0.95
"""Part of a video's frames by its header, which may be a guess: with fewer, some are missing."""
WAIT = 0.2
"""Seconds between two looks at whether a live source is to be ended."""


class Source(Protocol):
    """Pictures in batches, and their names."""

    unit: str
    """What they are, in the plural."""
    total: int | None
    """How many; None where nobody knows."""
    folder: str
    """Where they are, for images.json."""

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches for the network, read ahead."""

    def named(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Named]:
        """Names of the pictures of a batch."""


class PictureSource:
    """Picture files.

    Args:
        found: which.
        batch_size: pictures of a batch.
        num_workers: processes that read ahead, at most.
        tiling: of large pictures.
    """

    unit = "pictures"

    def __init__(
        self,
        found: FoundImages,
        batch_size: int,
        num_workers: int,
        tiling: Tiling | None = None,
    ) -> None:
        self.found = found
        self._tiling = tiling
        self.total: int | None = len(found.names)
        self.folder = str(found.folder.absolute())
        self._batch_size = batch_size
        self._workers = min(num_workers, -(-self.total // batch_size), os.cpu_count() or 1)
        self._labels = label_names(found.names)

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches for the network; what cannot be read is named in them.

        Args:
            transform: of pictures, that of the test.
            reading: how pictures are read.
            start: batches that are passed over.
        """
        data = PictureDataset(self.found, transform, reading, self._tiling)
        rest = range(min(start * self._batch_size, len(data)), len(data))
        yield from DataLoader(
            Subset(data, rest),
            batch_size=self._batch_size,
            num_workers=self._workers,
            collate_fn=collate_readable,
        )

    def named(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Named]:
        """The files' names."""
        names = [self.found.names[target.image_id - 1] for target in targets]
        return [Named(name, self._labels[name], {}) for name in names]


class VideoSource:
    """Frames of a video, which is opened here for the first time.

    Args:
        source: a file, the number of a camera, or an address.
        batch_size: frames of a batch; of a live one each is alone.
        num_workers: processes that decode ahead, at most.

    Raises:
        VideoError: there is none, or it cannot be opened.
    """

    unit = "frames"

    def __init__(self, source: str | int, batch_size: int, num_workers: int) -> None:
        self._source, self._batch_size, self._workers = source, batch_size, num_workers
        with Video(source) as video:
            self.name, self.facts = video.name, video.facts
        self.total = self.facts.count
        self._seen = 0
        text = str(source)
        file = not is_address(text) and not text.isdecimal()
        self.folder = str(Path(text).absolute()) if file else self.name
        self.stem = source_stem(self.name)

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches of frames for the network, in order, and from the first one.

        Raises:
            VideoError: not a single frame can be decoded.
        """
        live = self._live(transform) if self.facts.live else self._all(transform)
        for collated in live:
            self._seen += len(collated.frames)
            yield collated
        if not self._seen:
            raise VideoError(f"{self.name}: not a single frame can be decoded")
        if self.total is not None and self._seen < SURELY * self.total:
            told = f"ended after {self._seen} of {self.total} frames; it is cut off or broken"
            print(f"{self.name}: {told}")

    def _all(self, transform: nn.Module) -> Iterator[Collated]:
        count = -(-(self.total or 1) // self._batch_size)
        yield from DataLoader(
            VideoFrames(self._source, transform, self._batch_size),
            batch_size=self._batch_size,
            num_workers=min(self._workers, count, os.cpu_count() or 1),
            collate_fn=collate_readable,
        )

    def _live(self, transform: nn.Module) -> Iterator[Collated]:
        """The newest frame, whenever there is one, until the end or until a signal."""
        INTERRUPTION.postpone()
        with closing(NewestFrame(Video(self._source))) as newest:
            while not newest.ended and INTERRUPTION.asked is None:
                frame = newest.next(WAIT)
                if frame is not None:
                    yield collate_readable([read_frame(frame, transform)])
                INTERRUPTION.end_step()
            if INTERRUPTION.asked is None:
                print(f"{self.name}: no more frames came: it has ended, or its connection is lost")
        INTERRUPTION.end_step()  # what is left to write has time of its own

    def named(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Named]:
        """Names as of pictures that FFmpeg makes of a video: <video>/000001.jpg and on."""
        return [
            Named(
                f"{self.stem}/{frame.number + 1:06d}.jpg",
                f"{self.stem}/{frame.number + 1:06d}.txt",
                {"frame": frame.number, "seconds": round(frame.seconds, 3)},
            )
            for frame in frames
        ]


def source_stem(name: str) -> str:
    """What files of a video are called by.

    >>> source_stem("films/way.mp4"), source_stem("0"), source_stem("rtsp://10.0.0.7:554/live/1?a=b")
    ('way', 'camera_0', '10.0.0.7_554_live_1')
    """
    if name.isdecimal():
        return f"camera_{name}"
    if not is_address(name):
        return PurePosixPath(Path(name).as_posix()).stem
    path = name.split("://", 1)[1].split("?")[0].rstrip("/")
    letters = (each if each.isalnum() or each in ".-" else "_" for each in path)
    return "".join(letters) or "stream"
