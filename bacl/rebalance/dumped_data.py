"""Loaders of a dump: the images, samplers and statistics of a data module, rows for pictures."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from bacl.data.batch import Target
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.data.raw_sample import RawSample
from bacl.messages.errors import UserError
from bacl.options.marks import Free
from bacl.options.ranges import Text
from bacl.rebalance.dump import TRAIN, VAL, Dump
from bacl.rebalance.dumped_batch import Sample, collate_rows
from bacl.rebalance.image_rows import RowsError, naming


class DumpedDataModule(DetectionDataModule):
    """The data of a dump.

    Pictures are opened for figures alone; batches are of dumped rows.

    Args:
        dump: its folder.
        options: see `DetectionDataModule`; images are not augmented.
    """

    def __init__(self, dump: Free[Text], **options: Any) -> None:
        super().__init__(**options)
        self.folder = dump

    @cached_property
    def rows(self) -> Dump:
        """The dump."""
        return Dump(Path(self.folder))

    def load(
        self, images: DetectionDataset, batches: Iterable[list[Any]], persistent: bool = False
    ) -> DataLoader:
        """See `DetectionDataModule.load`."""
        split = VAL if images is self.val_set else TRAIN
        rows = DumpedImages(self.rows, split, images)
        return self.loader(rows, batches, persistent=persistent, collate_fn=collate_rows)


class DumpedImages(Dataset[Sample]):
    """Rows and targets of the images of a data set, by the same indices.

    An image that was not dumped, since its picture is to be done without, is replaced by another.

    Args:
        dump: the rows.
        split: of the dump.
        images: the data set.
    """

    def __init__(self, dump: Dump, split: str, images: DetectionDataset) -> None:
        self.dump, self.split, self.images = dump, split, images
        table = images.table
        there = dump.description.splits[split].images
        self._record = {number: row for row, number in enumerate(table.image_ids.tolist())}
        if unknown := [number for number in there if number not in self._record]:
            raise RowsError(
                f"{dump.folder}: image {unknown[0]} of its {split} split is not in {table.source}: "
                "it was dumped from other annotations"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int | tuple[int, int]) -> Sample:
        """Rows and target of an index, or of (index, key)."""
        index, key = item if isinstance(item, tuple) else (item, 0)
        there = self.dump.description.splits[self.split].images
        record = self.images.records[index]
        asked = int(self.images.table.image_ids[record])
        place = self.dump.place(self.split, asked)
        if place is None and not self.images.selection.named[record]:
            raise RowsError(
                f"{self.dump.folder}: image {asked} of {self.images.table.source} was not dumped, "
                f"and is used ({self.split}); dump it, or leave it out (datamodule.leave_out)"
            )
        if place is None:
            place = int(np.random.default_rng(key).integers(len(there)))
        rows = self.dump.image(self.split, place)
        target = target_of(self.images, self._record[there[place]])
        with naming(self.dump.path(self.split, place)):
            rows.check_objects(target.labels)
        return rows, target

    def __getitems__(self, items: Sequence[Any]) -> list[Sample] | UserError:
        """What a loader asks for; see `DetectionDataset.__getitems__`."""
        try:
            return [self[item] for item in items]
        except UserError as error:
            return error


def target_of(images: DetectionDataset, record: int) -> Target:
    """An image's target in pixels of its file; the picture is not opened."""
    height, width = images.table.image_sizes[record].tolist()
    nothing = torch.zeros(1, dtype=torch.uint8).expand(3, height, width)
    raw = RawSample.of(images.table, record, nothing)
    return images.target(record, raw.sample(with_masks=False))
