"""Picture files: those of a folder, of a pattern, or one."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from bacl.data.batch import Target
from bacl.data.collate import collate_here
from bacl.data.images.image_folder import FoundImages
from bacl.data.images.picture_file import Reading
from bacl.data.images.read_pictures import Collated, PictureDataset, collate_readable
from bacl.data.images.tiles import Tiling
from bacl.data.images.video_source import Frame
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.drawn import Look, require_elsewhere
from bacl.prediction.drawn_pictures import DrawnPictures
from bacl.prediction.output import Named, Output, Vocabulary
from bacl.prediction.yolo_files import label_names
from bacl.processes.cores import usable_cores


class PictureSource:
    """Picture files as a `Source`; what cannot be read is named in the batches.

    Args:
        given: what names them, for the user.
        found: which.
        batch_size: pictures of a batch.
        num_workers: processes that read ahead, at most.
        tiling: of large pictures.
    """

    unit = "pictures"

    def __init__(
        self,
        given: str,
        found: FoundImages,
        batch_size: int,
        num_workers: int,
        tiling: Tiling | None = None,
    ) -> None:
        self.found = found
        self.files: FoundImages | None = found
        self._given, self._tiling, self._batch_size = given, tiling, batch_size
        self.total: int | None = len(found.names)
        self.folder = str(found.folder.absolute())
        self._workers = min(num_workers, -(-self.total // batch_size), usable_cores())
        self._labels = label_names(found.names)

    def told(self) -> str:
        """How many there are, and what is passed over."""
        return f"{self._given}: {self.found.summary()}"

    def batches(self, transform: nn.Module, reading: Reading, start: int = 0) -> Iterator[Collated]:
        """Batches for the network."""
        data = PictureDataset(self.found, transform, reading, self._tiling)
        rest = range(min(start * self._batch_size, len(data)), len(data))
        yield from DataLoader(
            Subset(data, rest),
            batch_size=self._batch_size,
            num_workers=self._workers,
            collate_fn=partial(collate_readable, put_together=collate_here()),
            pin_memory=torch.cuda.is_available(),
        )

    def again(self, known: Iterable[DetectedBatch]) -> Iterator[DetectedBatch]:
        """As they are: files are read again where they are drawn."""
        yield from known

    def named(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Named]:
        """The files' names."""
        names = [self.found.names[target.image_id - 1] for target in targets]
        return [Named(name, self._labels[name], {}) for name in names]

    def lines(
        self, output: Path, heads: Sequence[str], categories: Vocabulary, again: bool
    ) -> Sequence[Output]:
        """None: what is found in pictures is written as a whole."""
        return []

    def drawing(
        self, output: Path, look: Look, most: int | None, reading: Reading
    ) -> DrawnPictures:
        """Each picture is a file of its own."""
        found, folder = self.found, output / "pictures"
        require_elsewhere(folder, found.folder)
        return DrawnPictures(folder, found.folder, found.names, reading, look, most)
