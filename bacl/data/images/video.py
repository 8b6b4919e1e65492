"""Frames of a video file, a camera or an address, as OpenCV decodes them.

OpenCV reads what its FFmpeg reads, cameras too, and is there anyway: the package of LVIS needs it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

import cv2
import torch
from torch import Tensor

from bacl.data.images.picture_file import PictureError
from bacl.data.images.video_source import Frame, is_address, without_password
from bacl.files.kinds import file_kind

DECODER = f"OpenCV {cv2.__version__}"
"""What decodes frames: another version may give other pixels."""
PATIENCE = 10_000
"""Milliseconds in which an address answers."""
NEXT = 5_000
"""Milliseconds in which its next frame comes: else it has ended. Fewer than a command that was told
to end has (`bacl.processes.interruption.GRACE`)."""
LOST = 1000
"""Frames of a file in a row that cannot be decoded, after which none is looked for any more: at the
end of a file, too, which takes no time."""
USUAL_RATE = 25.0
"""Frames a second of what does not say its own."""


class VideoError(PictureError):
    """A video that is missing, cannot be opened or gives no frame."""


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself."""

    count: int | None
    """Frames, by its header; None where it has no end, or does not say."""
    rate: float
    """Frames a second."""
    live: bool
    """Whether frames come by the clock, so that those that come too fast are lost."""


class Video:
    """An opened video.

    Args:
        source: a file, a camera's number, or an address that FFmpeg knows (rtsp, http, …).

    Raises:
        VideoError: there is none, or it cannot be opened.
    """

    def __init__(self, source: str | int) -> None:
        text = str(source)
        self.name = without_password(text)
        self._camera, address = text.isdecimal(), is_address(text)
        self._file = not self._camera and not address
        if self._file and not Path(text).is_file():
            raise VideoError(f"{self.name}: there is no such file")
        waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE, cv2.CAP_PROP_READ_TIMEOUT_MSEC, NEXT]
        with _quiet():  # what is wrong is told below
            self._capture = (
                cv2.VideoCapture(int(text))
                if self._camera
                else cv2.VideoCapture(text, cv2.CAP_FFMPEG, waits if address else [])
            )
        if not self._capture.isOpened():
            raise VideoError(f"{self.name}: {_refusal(text, self._camera)}")

    @property
    def facts(self) -> VideoFacts:
        """Count, rate and whether it is live."""
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        sane = 0 < rate <= 1000
        return VideoFacts(
            frames if frames > 0 and not self._camera else None,
            rate if sane else USUAL_RATE,
            self._camera or (frames <= 0 and is_address(self.name)),
        )

    def frames(
        self, wanted: slice = slice(None), every: int = 1, start: int = 0
    ) -> Iterator[Frame]:
        """Frames in order, until the end; those of a file that cannot be decoded are left out.

        They count in the numbers of those after them. A camera or an address ends with the first
        that does not come.

        Args:
            wanted: of each `every` frames in a row those that are decoded to pixels.
            every: length of such a row.
            start: frames that are passed over, before the first row.
        """
        rate, live, begun = self.facts.rate, self.facts.live, time.monotonic()
        chosen = set(range(every)[wanted])
        for place, number in enumerate(self._grabbed()):
            if place >= start and (place - start) % every in chosen:
                whole, picture = self._capture.retrieve()
                if not whole:
                    return
                seconds = time.monotonic() - begun if live else number / rate
                yield Frame(number, seconds, rgb_of(picture))

    def _grabbed(self) -> Iterator[int]:
        """Numbers of the frames that can be decoded, as each is the one to retrieve."""
        lost, most = 0, LOST if self._file else 0
        for number in count():
            if self._capture.grab():
                lost = 0
                yield number
            elif lost == most:
                return
            else:
                lost += 1

    def close(self) -> None:
        """Let go of the file, camera or connection."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()


def rgb_of(picture: cv2.typing.MatLike) -> Tensor:
    """(3, H, W) uint8 RGB of OpenCV's array (H, W, 3), which is BGR; grey (H, W) too."""
    kind = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
    return torch.from_numpy(cv2.cvtColor(picture, kind)).permute(2, 0, 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV, whose level is one of the process, says nothing."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _refusal(text: str, camera: bool) -> str:
    if camera:
        return "no camera of this number can be opened"
    if is_address(text):
        return f"nothing that FFmpeg can read answers there within {PATIENCE // 1000} seconds"
    kind = ""
    with suppress(OSError):
        kind = file_kind(Path(text)) or ""
    return f"cannot be decoded as a video{f'; it is {kind}' if kind else ''}"
