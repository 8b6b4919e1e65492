"""Frames of a video file, a camera or an address."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from bacl.data.batch import Target
from bacl.data.collate import collate_here
from bacl.data.images.image_folder import FoundImages
from bacl.data.images.picture_file import Reading
from bacl.data.images.read_pictures import Collated, collate_readable
from bacl.data.images.tiles import Tiling
from bacl.data.images.video import Video, VideoError
from bacl.data.images.video_frames import NewestFrame, VideoFrames, read_frame
from bacl.data.images.video_source import Frame, is_address
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.drawn import Look, require_elsewhere
from bacl.prediction.drawn_video import DrawnVideo
from bacl.prediction.frame_lines import FrameLines
from bacl.prediction.output import Named, Output, Vocabulary
from bacl.prediction.source_names import video_stem
from bacl.processes.cores import usable_cores
from bacl.processes.interruption import INTERRUPTION

SURELY = 0.95
"""Part of a video's frames by its header, which may be a guess: with fewer, some are missing."""
WAIT = 0.2
"""Seconds between two looks at whether a live source is to be ended."""


class FrameSource:
    """Frames of a video as a `Source`; it is opened here for the first time.

    Args:
        source: a file, the number of a camera, or an address.
        batch_size: frames of a batch; of a live one each is alone.
        num_workers: processes that decode ahead, at most.
        tiling: of large frames.

    Raises:
        VideoError: there is none, or it cannot be opened.
    """

    unit = "frames"

    def __init__(
        self,
        source: str | int,
        batch_size: int,
        num_workers: int,
        tiling: Tiling | None = None,
    ) -> None:
        self._source, self._batch_size, self._workers = source, batch_size, num_workers
        self._tiling = tiling
        with Video(source) as video:
            self.name, self.facts = video.name, video.facts
        self.total = self.facts.count
        self._seen = self._end = 0
        self.stem = video_stem(self.name)
        text = str(source)
        file = not is_address(text) and not text.isdecimal()
        self.folder = str(Path(text).absolute()) if file else self.name
        path = Path(text)
        again = file and not self.facts.live
        self.files = FoundImages(path.parent, [path.name], {}) if again else None

    def told(self) -> str:
        """How many frames there are, where that is known, and how fast they follow each other."""
        if self.facts.live:
            return f"{self.name}: live; Ctrl-C ends it, and what was written is whole then"
        count = "" if self.total is None else f"{self.total} frames, "
        return f"{self.name}: {count}{self.facts.rate:g} a second"

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches of frames for the network, in order; of a live source from now on.

        Raises:
            VideoError: not a single frame can be decoded.
        """
        batches = self._live(transform) if self.facts.live else self._all(transform, start)
        for collated in batches:
            self._count(collated.frames)
            yield collated
        if not self._seen:
            raise VideoError(f"{self.name}: not a single frame can be decoded")
        self._tell_missing()

    def _count(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._seen += 1
            self._end = frame.number + 1

    def _tell_missing(self) -> None:
        lost = self._end - self._seen
        if lost and not self.facts.live:
            print(f"{self.name}: {lost} of its frames cannot be decoded and are left out")
        if self.total is not None and self._end < SURELY * self.total:
            told = f"ended after {self._end} of {self.total} frames; it is cut off or broken"
            print(f"{self.name}: {told}")

    def again(self, known: Iterable[DetectedBatch]) -> Iterator[DetectedBatch]:
        """The same batches with their frames, which are decoded again, to be drawn."""
        with Video(self._source) as video:
            frames = video.frames()
            for batch in known:
                own = list(islice(frames, len(batch.targets)))
                if len(own) < len(batch.targets):
                    return  # the file changed under our hands
                self._count(own)
                yield replace(batch, frames=own)

    def _all(self, transform: nn.Module, start: int) -> Iterator[Collated]:
        count = -(-(self.total or 1) // self._batch_size)
        yield from DataLoader(
            VideoFrames(self._source, transform, self._batch_size, start, self._tiling),
            batch_size=self._batch_size,
            num_workers=min(self._workers, count, usable_cores()),
            collate_fn=partial(collate_readable, put_together=collate_here()),
            pin_memory=torch.cuda.is_available(),
        )

    def _live(self, transform: nn.Module) -> Iterator[Collated]:
        """The newest frame, whenever there is one, until the end or until a signal."""
        INTERRUPTION.postpone()
        with closing(NewestFrame(Video(self._source))) as newest:
            while not newest.ended and INTERRUPTION.asked is None:
                frame = newest.next(WAIT)
                if frame is not None:
                    yield collate_readable([read_frame(frame, transform, self._tiling)])
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

    def lines(
        self, output: Path, heads: Sequence[str], categories: Vocabulary, again: bool
    ) -> Sequence[Output]:
        """A line for each frame."""
        return [FrameLines(output, heads, categories, again)]

    def drawing(self, output: Path, look: Look, most: int | None, reading: Reading) -> DrawnVideo:
        """All frames are one file."""
        path = output / f"{self.stem}.mp4"
        if self.files is not None:
            require_elsewhere(path, Path(self.folder))
        return DrawnVideo(path, self.facts.rate, self.facts.live, look)
