"""A dump that another program wrote against the annotation files that it is trained with."""

import numpy as np

from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.rebalance.description import FILE, DumpError
from bacl.rebalance.dump import TRAIN, VAL, Dump
from bacl.rebalance.dumped_pictures import counted, used


def check_data(dump: Dump, data: DetectionDataModule) -> None:
    """Compare categories, counts, images and sizes of dump.json with the data; no shard is read.

    Raises:
        DumpError: names what differs first, and what the annotation file says of it.
    """
    for field, wanted in counted(data).items():
        pairs = enumerate(zip(getattr(dump.description, field), wanted, strict=False))
        for place, (said, own) in pairs:
            if said != own:
                raise DumpError(
                    f"{dump.folder / FILE}: {field}[{place}] is {said}, and {own} by "
                    f"{data.train_table.source} (crowds and ignored objects do not count): dump "
                    "these annotations, or name those that were dumped"
                )
    for name, images in ((TRAIN, data.train_set), (VAL, data.val_set)):
        _check_images(dump, name, images)


def _check_images(dump: Dump, name: str, images: DetectionDataset) -> None:
    table, split = images.table, dump.description.splits[name]
    ids, mend = np.array(split.images), "dump them all, of these annotations"
    where = f"{dump.folder / FILE}: splits.{name}:"
    if len(unknown := ids[~np.isin(ids, table.image_ids)]):
        raise DumpError(f"{where} image {unknown[0]} is not in {table.source}; {mend}")
    if len(absent := np.setdiff1d(table.image_ids[images.records[used(images)]], ids)):
        raise DumpError(
            f"{where} image {absent[0]} of {table.source} was not dumped, nor were "
            f"{len(absent) - 1} others that are used; {mend}, or leave pictures out by name "
            "(datamodule.leave_out)"
        )
    order = np.argsort(table.image_ids)
    records = order[np.searchsorted(table.image_ids, ids, sorter=order)]
    differ = (table.image_sizes[records] != np.array(split.sizes)).any(axis=1)
    if differ.any():
        place = int(differ.argmax())
        raise DumpError(
            f"{where} image {ids[place]} has height and width {list(split.sizes[place])}, and "
            f"{table.image_sizes[records[place]].tolist()} by {table.source}; {mend}"
        )
