"""The images of a data set that a dump is made of, in its order."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from bacl.data.batch import Target
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.data.loading import batch_loader
from bacl.messages.errors import UserError
from bacl.rebalance.description import Split


def used(images: DetectionDataset) -> np.ndarray:
    """Indices of the images that are not to be done without."""
    return np.flatnonzero(~images.selection.named[images.records])


def split_of(images: DetectionDataset, shard: int) -> Split:
    """Ids and sizes of these images, in shards of so many."""
    table, records = images.table, images.records[used(images)]
    ids = table.image_ids[records].tolist()
    sizes = [(int(height), int(width)) for height, width in table.image_sizes[records]]
    return Split(ids, sizes, shard)


def pictures(images: DetectionDataset, places: Sequence[int]) -> Iterator[tuple[Tensor, Target]]:
    """Pictures (3, H, W) uint8 and objects, at places among the images that are used.

    One is opened when it is asked for.

    Raises:
        PictureError: it is missing or broken.
    """
    indices = used(images).tolist()
    loader: Any = batch_loader(images, [[indices[place]] for place in places], 0, collate_fn=_only)
    return iter(loader)


def counted(data: DetectionDataModule) -> dict[str, Any]:
    """What a description says of the categories, by its fields."""
    statistics, table = data.statistics, data.train_table
    names = zip(table.category_ids.tolist(), table.category_names, strict=True)
    return {
        "categories": [(int(number), str(name)) for number, name in names],
        "image_counts": [int(count) for count in statistics.image_counts],
        "instance_counts": [int(count) for count in statistics.instance_counts],
    }


def _only(samples: list[Any] | UserError) -> Any:
    return samples if isinstance(samples, UserError) else samples[0]
