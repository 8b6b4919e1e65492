"""What pictures come from, as a job sees it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from bacl.data.batch import Target
from bacl.data.images.image_folder import FoundImages
from bacl.data.images.picture_file import Reading
from bacl.data.images.read_pictures import Collated
from bacl.data.images.video_source import Frame
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.drawn import Drawing, Look
from bacl.prediction.output import Named, Output, Vocabulary


class Source(Protocol):
    """Pictures in batches, and their names."""

    unit: str
    """What they are, in the plural."""
    total: int | None
    """How many; None where nobody knows."""
    folder: str
    """Where they are, for images.json."""
    files: FoundImages | None
    """That are read, and are the same another time; None where there are none."""

    def told(self) -> str:
        """A line on what is looked at, before it begins."""

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches for the network, read ahead.

        Args:
            transform: of pictures, that of the test.
            reading: how pictures are read.
            start: batches that are passed over.
        """

    def again(self, known: Iterable[DetectedBatch]) -> Iterator[DetectedBatch]:
        """Batches of an earlier command, the first ones, with what else it takes to draw them.

        Args:
            known: of `files` that are what they were.
        """

    def named(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Named]:
        """Names of the pictures of a batch."""

    def lines(
        self, output: Path, heads: Sequence[str], categories: Vocabulary, again: bool
    ) -> Sequence[Output]:
        """What is written of them besides, in the open, as soon as it is known.

        Args:
            output: folder of the results.
            heads: names.
            categories: of the training file.
            again: whether what an interrupted command wrote is written again.
        """

    def drawing(self, output: Path, look: Look, most: int | None, reading: Reading) -> Drawing:
        """What draws them.

        Args:
            output: folder of the results.
            look: of the detections.
            most: pictures that are drawn, where each is a file; None draws all.
            reading: how pictures are read.
        """
