"""Samplers that draw a category first, and then an image of it.

C: categories with an image.
"""

from typing import Literal

import numpy as np

from bacl.data.samplers.batches import RandomBatches, SampledImages


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
        self._images = _images_of_categories(dataset)

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        categories = _rounds(np.arange(len(self._images)), self._num_images, draws)
        order = np.empty(self._num_images, dtype=np.int64)
        for category, images in enumerate(self._images):
            places = (categories == category).nonzero()[0]
            order[places] = _rounds(images, len(places), draws)
        return order


class EpisodicBatches(RandomBatches):
    """Batches of distinct categories, one image of each (Wang et al., "The Devil is in …", 2020).

    The first level of SimCal's bi-level sampling: every batch is an episode of B categories,
    uniformly drawn without replacement, with one image of each, uniform among its own. The second
    level, RoIs of the drawn category alone, is no matter of a sampler. Where there are fewer
    categories than B, they come round again. An image of several of them may be there several
    times, and batches are not grouped by aspect ratio.

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
        group_by_aspect_ratio: Literal[False] = False,
        num_processes: int = 1,
        process: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, seed, group_by_aspect_ratio, num_processes, process)
        self._images = _images_of_categories(dataset)

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        categories = np.arange(len(self._images))
        episodes = [_rounds(categories, self.batch_size, draws) for _ in range(len(self))]
        drawn = np.concatenate(episodes)
        sizes = np.array([len(images) for images in self._images])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.concatenate(self._images)[starts[drawn] + draws.integers(sizes[drawn])]


def _images_of_categories(dataset: SampledImages) -> list[np.ndarray]:
    """Indices of the images of each of C categories; without any object all images are alike."""
    index, label = dataset.category_pairs()
    pairs = np.unique(np.stack([label, index]), axis=1)
    _, starts = np.unique(pairs[0], return_index=True)
    return np.split(pairs[1], starts[1:]) if len(starts) else [np.arange(len(dataset))]


def _rounds(values: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """(count,): the values again and again, every round in another order."""
    rounds = [draws.permutation(values) for _ in range(-(-count // len(values)))]
    return np.concatenate([*rounds, values[:0]])[:count]
