"""Which images make up each batch: the order of an epoch, its batches, and every process' share.

One epoch is always as many images as the data set has (less the incomplete last batch), whatever
the sampler: samplers are compared at equal numbers of steps. A batch is drawn for all processes
together and then cut, so that the data of a run do not depend on how many processes share it.
N: images of the data set. B: images of a batch over all processes. T: batches of an epoch.
"""

from collections.abc import Iterator
from typing import Protocol
from zlib import crc32

import numpy as np
from torch.utils.data import Sampler

from bacl.messages.errors import OptionError
from bacl.options.ranges import Share


class SampledImages(Protocol):
    """What samplers need to know of a data set."""

    def __len__(self) -> int: ...

    @property
    def aspect_ratios(self) -> np.ndarray:
        """(N,) width over height."""

    def category_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) index and (M,) label: each object's image and category, in any order."""


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


class RepeatFactorBatches(RandomBatches):
    """Images with rare categories more often (Gupta et al., "LVIS", CVPR 2019, Sec. 5.3).

    In every epoch an image of factor r is listed floor(r) times and once more with probability
    r - floor(r); the list is shuffled and the epoch takes its first N entries. An image is thus
    seen in proportion to r, and an epoch is no longer than one of `RandomBatches`.

    Args:
        dataset: the training images.
        threshold: t; categories in less than this share of the images are repeated.
        options: as of `RandomBatches`.
    """

    def __init__(
        self,
        dataset: SampledImages,
        *,
        threshold: Share,
        batch_size: int,
        seed: int,
        group_by_aspect_ratio: bool,
        num_processes: int = 1,
        process: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, seed, group_by_aspect_ratio, num_processes, process)
        self.factors = image_repeat_factors(len(dataset), *dataset.category_pairs(), threshold)

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        whole = np.floor(self.factors)
        extra = draws.random(self._num_images) < self.factors - whole
        repeated = np.repeat(np.arange(self._num_images), whole.astype(np.int64) + extra)
        return draws.permutation(repeated)[: self._num_images]


class ClassAwareBatches(RandomBatches):
    """Every category equally often (Shen et al., "Relay Backpropagation", ECCV 2016).

    An epoch goes round the categories that have an image, in a new random order each time, and
    takes the next image of each: those of a category come round in random order, too. So an epoch
    of N images has each of C categories N / C times, to one.

    Args:
        dataset: the training images.
        options: as of `RandomBatches`.
    """

    def __init__(
        self,
        dataset: SampledImages,
        *,
        batch_size: int,
        seed: int,
        group_by_aspect_ratio: bool,
        num_processes: int = 1,
        process: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, seed, group_by_aspect_ratio, num_processes, process)
        index, label = dataset.category_pairs()
        pairs = np.unique(np.stack([label, index]), axis=1)
        _, starts = np.unique(pairs[0], return_index=True)
        # Without any object all images are alike.
        self._images = np.split(pairs[1], starts[1:]) if len(starts) else [np.arange(len(dataset))]

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        categories = _rounds(np.arange(len(self._images)), self._num_images, draws)
        order = np.empty(self._num_images, dtype=np.int64)
        for category, images in enumerate(self._images):
            places = (categories == category).nonzero()[0]
            order[places] = _rounds(images, len(places), draws)
        return order


class EvaluationBatches(Sampler[list[int]]):
    """Every image over all processes, in batches of indices.

    Every process gets equally many, so that all of them take the same steps and none waits for
    another: where the images do not divide evenly, a later process is given some of the first
    process' again, which the metrics count once. Batches hold images of similar aspect ratio, which
    saves padding; with `batch_size` 1 the order is the file's.

    Args:
        dataset: the images.
        batch_size: images of a batch of one process.
        num_processes: processes that evaluate together.
        process: index of this process.
    """

    def __init__(
        self, dataset: SampledImages, batch_size: int, num_processes: int = 1, process: int = 0
    ) -> None:
        self.batch_size = batch_size
        order = np.arange(len(dataset))
        if batch_size > 1:
            order = np.argsort(dataset.aspect_ratios, kind="stable")
        whole = -(-len(order) // num_processes) * num_processes
        self._order = np.resize(order, whole)[process::num_processes]

    def __len__(self) -> int:
        """Batches of this process."""
        return -(-len(self._order) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """This process' batches."""
        starts = range(0, len(self._order), self.batch_size)
        return (self._order[start : start + self.batch_size].tolist() for start in starts)


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


def category_repeat_factors(image_share: np.ndarray, threshold: float) -> np.ndarray:
    """r(c) = max(1, sqrt(t / f(c))) of the share f(c) in (0, 1] of images that show c."""
    return np.maximum(1.0, np.sqrt(threshold / image_share))


def image_repeat_factors(
    num_images: int, index: np.ndarray, label: np.ndarray, threshold: float
) -> np.ndarray:
    """(N,) r(I) = max of r(c) over the categories in I; 1 for an image without objects.

    Args:
        num_images: N, also the denominator of f(c).
        index: (M,) image of each object, in [0, N).
        label: (M,) category of each object.
        threshold: t.
    """
    factors = np.ones(num_images)
    if len(index) == 0:
        return factors
    pairs = np.unique(np.stack([index, label]), axis=1)
    _, position, counts = np.unique(pairs[1], return_inverse=True, return_counts=True)
    repeat = category_repeat_factors(counts / num_images, threshold)
    np.maximum.at(factors, pairs[0], repeat[position])
    return factors


def _rounds(values: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """(count,): the values again and again, every round in another order."""
    rounds = [draws.permutation(values) for _ in range(-(-count // len(values)))]
    return np.concatenate([*rounds, values[:0]])[:count]


def _rows(order: np.ndarray, width: int) -> np.ndarray:
    """(n, width): as many full rows as `order` fills; the rest is left out."""
    return order[: len(order) // width * width].reshape(-1, width)
