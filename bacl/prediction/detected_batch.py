"""A batch of pictures as it was read, and what was found in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from bacl.data.batch import Detections, Target
from bacl.data.images.read_pictures import Collated, Unreadable
from bacl.data.images.traits import Trait
from bacl.data.images.video_source import Frame

Found = Mapping[str, Sequence[Detections]]
"""By head, detections of each picture in its pixels, on the CPU."""


@dataclass(frozen=True)
class DetectedBatch:
    """All detections, whatever is taken of them later; without what the network was given."""

    targets: Sequence[Target]
    """Of what could be read; none where nothing could."""
    traits: Sequence[Trait]
    """Likewise."""
    unreadable: Sequence[Unreadable]
    detections: Found
    frames: Sequence[Frame] = field(default=())
    """Where they are of a video, as they are."""

    @classmethod
    def of(cls, read: Collated, detections: Found) -> Self:
        """What was read, with what was found in it."""
        targets = [] if read.batch is None else read.batch.targets
        return cls(targets, read.traits, read.unreadable, detections, read.frames)

    def __len__(self) -> int:
        """Pictures that were looked for, read or not."""
        return len(self.traits) + len(self.unreadable)
