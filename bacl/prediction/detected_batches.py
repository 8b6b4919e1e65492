"""All batches of a prediction in order: those that an interrupted command has found come first."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bacl.data.images.read_pictures import Collated
from bacl.prediction.detected_batch import DetectedBatch, Found
from bacl.prediction.kept_batches import KeptBatches
from bacl.prediction.watch import PARTS, Watch


@dataclass(frozen=True)
class DetectedBatches:
    """Detects batch by batch, as far as it is not known, and keeps what it finds."""

    read: Callable[[int], Iterable[Collated]]
    """Batches from the one of this number on."""
    again: Callable[[Iterable[DetectedBatch]], Iterator[DetectedBatch]]
    """Completes what is kept (`Source.again`)."""
    detect: Callable[[Collated], Found]
    kept: KeptBatches | None
    """Where nothing is kept, nothing can be gone on from."""
    watch: Watch

    def __iter__(self) -> Iterator[DetectedBatch]:
        known = 0
        for batch in self.again(self.kept.known()) if self.kept else ():
            known += 1
            yield batch
        if known:
            print(f"{known} of its batches, found by an interrupted command, are taken as they are")
        for number, read in enumerate(self.watch.waiting(self.read(known)), known):
            with self.watch.part(PARTS[1]):
                batch = DetectedBatch.of(read, self.detect(read))
            if self.kept is not None:
                self.kept.keep(number, batch)
            yield batch
