"""What is written of pictures, by one thread, batch by batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from bacl.data.batch import Detections, Target
from bacl.data.images.video_source import Frame
from bacl.detectors.acceptance import Acceptance
from bacl.prediction.detected_batch import DetectedBatch


class Vocabulary(Protocol):
    """The categories of a training file, by label."""

    @property
    def ids(self) -> Sequence[int]:
        """As in the file."""

    @property
    def names(self) -> Sequence[str]:
        """As in the file."""


@dataclass(frozen=True)
class Named:
    """How a picture is called in files."""

    name: str
    """With forward slashes, below the folder of the pictures."""
    label: str
    """The same for a text file of it; no other picture's."""
    more: Mapping[str, Any]
    """What else images.json says of it."""


@dataclass(frozen=True)
class Predicted:
    """A batch of pictures with what was found, on the CPU."""

    targets: Sequence[Target]
    named: Sequence[Named]
    frames: Sequence[Frame]
    """Where they are of a video, as they are."""
    detections: Mapping[str, Sequence[Detections]]
    """By head, of each picture, in its pixels."""
    accepted: Mapping[str, Sequence[Detections]]
    """Likewise, those to take."""

    @classmethod
    def of(
        cls, batch: DetectedBatch, named: Sequence[Named], accept: Mapping[str, Acceptance]
    ) -> Self:
        """A batch with the names of its pictures, and what each head's acceptance leaves of it."""
        own = batch.detections
        accepted = {head: [accept[head](each) for each in own[head]] for head in own}
        return cls(batch.targets, named, batch.frames, own, accepted)

    def records(self) -> Iterator[dict[str, Any]]:
        """Of each picture, as the `images` of an annotation file."""
        for target, named in zip(self.targets, self.named, strict=True):
            height, width = target.original_size
            said = {"id": target.image_id, "file_name": named.name}
            yield {**said, "width": width, "height": height, **named.more}


class Output(AbstractContextManager["Output"], Protocol):
    """One kind of files: they are whole when the block ends without an error."""

    def write(self, batch: Predicted) -> None:
        """Take in a batch; batches come in order."""

    def files(self, batch: Predicted) -> Iterable[Path]:
        """Files that there are of a batch, or of all: a kill may leave them (`BegunFiles`)."""
