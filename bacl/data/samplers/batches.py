"""What all samplers of training batches share, and the plain one.

N: images of the data set. B: images of a batch over all processes. T: batches of an epoch.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol
from zlib import crc32

import numpy as np
from torch.utils.data import Sampler

from bacl.data.statistics import CategoryStatistics
from bacl.messages.errors import OptionError


class SampledImages(Protocol):
    """What samplers need to know of a data set."""

    def __len__(self) -> int: ...

    @property
    def aspect_ratios(self) -> np.ndarray:
        """(N,) width over height."""

    @property
    def statistics(self) -> CategoryStatistics:
        """Counts of the whole annotation file, whatever of it is trained on."""

    def category_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) index and (M,) label: the image and the category of each object to train on."""

    def annotated_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of each object that counts in the file, to train on or not."""


class RandomBatches(Sampler[list[tuple[int, int]]]):
    """Every image once per epoch, in random order, in batches of (index, key).

    A key seeds all random draws of its sample. Indices and keys depend on the seed, the epoch and
    the place in the epoch alone.

    Args:
        dataset: the training images.
        batch_size: B, over all processes.
        seed: of the order and of the keys.
        group_by_aspect_ratio: fill batches with either landscape or portrait images, which saves
            padding; what is left of the two groups is mixed.
        num_processes: processes that train together; every one gets B / num_processes images of
            each batch.
        process: index of this process.

    Raises:
        OptionError: B is no multiple of the processes, or more than N.
    """

    def __init__(
        self,
        dataset: SampledImages,
        batch_size: int,
        seed: int,
        group_by_aspect_ratio: bool,
        num_processes: int = 1,
        process: int = 0,
    ) -> None:
        _check_batch(batch_size, len(dataset), num_processes)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.start_batch = 0
        self._num_images = len(dataset)
        share = batch_size // num_processes
        self._columns = slice(process * share, (process + 1) * share)
        self._landscape = dataset.aspect_ratios >= 1 if group_by_aspect_ratio else None

    @property
    def sampler(self) -> "RandomBatches":
        """Itself: Lightning announces epochs to `batch_sampler.sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; the epoch under way stays where `start_at` has put it."""
        if epoch != self.epoch:
            self.start_at(epoch, 0)

    def start_at(self, epoch: int, batch: int) -> None:
        """Let the next iteration yield what is left of `epoch` after its first `batch` batches."""
        self.epoch, self.start_batch = epoch, batch

    def go_on(self, place: Mapping[str, int]) -> None:
        """Let the next iteration begin after `batch` batches of `epoch`, of this `checksum`.

        Raises:
            ValueError: the batches before it are others than they were.
        """
        self.start_at(place["epoch"], place["batch"])
        if place["batch"] and self.fingerprint() != place["checksum"]:
            raise ValueError(
                f"the checkpoint ends after batch {place['batch']} of epoch {place['epoch']}, but "
                "seed, batch_size, sampler or training annotations have changed since and give "
                "other batches. Restore them, or resume from the end of an epoch"
            )

    def fingerprint(self) -> int:
        """Checksum of the epoch's batches and keys over all processes."""
        indices, keys = self._plan()
        return crc32(keys.tobytes(), crc32(indices.tobytes(), self.batch_size))

    def __len__(self) -> int:
        """T, of a whole epoch, wherever it starts: Lightning counts on from the resumed batch."""
        return self._num_images // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """This process' share of the batches from `start_batch` on."""
        indices, keys = (part[self.start_batch :, self._columns] for part in self._plan())
        return (
            list(zip(row.tolist(), row_keys.tolist(), strict=True))
            for row, row_keys in zip(indices, keys, strict=True)
        )

    def _plan(self) -> tuple[np.ndarray, np.ndarray]:
        """(T, B) indices and (T, B) keys of the epoch."""
        draws = np.random.default_rng([self.seed, self.epoch, 0])
        batches = self._batches(self._order(draws), draws)
        keys = np.random.default_rng([self.seed, self.epoch, 1]).integers(
            np.iinfo(np.int64).max, size=batches.shape
        )
        return batches, keys

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        """(N,) indices in the order of an epoch."""
        return draws.permutation(self._num_images)

    def _batches(self, order: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        """(T, B): the order cut into batches, within the groups of similar images if asked."""
        if self._landscape is None:
            return _rows(order, self.batch_size)
        landscape = self._landscape[order]
        groups = [order[landscape], order[~landscape]]
        full = [_rows(group, self.batch_size) for group in groups]
        rest = np.concatenate(
            [group[rows.size :] for group, rows in zip(groups, full, strict=True)]
        )
        return draws.permutation(np.concatenate([*full, _rows(rest, self.batch_size)]))


def _check_batch(batch_size: int, num_images: int, num_processes: int) -> None:
    if batch_size % num_processes:
        raise OptionError(
            f"datamodule.batch_size={batch_size} counts the images of all processes and must be a "
            f"multiple of their number, {num_processes}"
        )
    if batch_size > num_images:
        raise OptionError(
            f"datamodule.batch_size={batch_size}, but the training images with objects are only "
            f"{num_images}; take a smaller batch"
        )


def _rows(order: np.ndarray, width: int) -> np.ndarray:
    """(n, width): as many full rows as `order` fills; the rest is left out."""
    return order[: len(order) // width * width].reshape(-1, width)
