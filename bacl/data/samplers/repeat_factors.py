"""Samplers that show images with rare categories more often.

N: images of the data set. C: categories.
"""

import numpy as np

from bacl.data.samplers.batches import RandomBatches, SampledImages
from bacl.data.statistics import CategoryStatistics
from bacl.options.ranges import Share


class RepeatFactorBatches(RandomBatches):
    """Images with rare categories more often (Gupta et al., "LVIS", CVPR 2019, Sec. 5.3).

    In every epoch an image of factor r is listed floor(r) times and once more with probability
    r - floor(r); the list is shuffled and the epoch takes its first N entries. An image is thus
    seen in proportion to r, and an epoch is no longer than one of `RandomBatches`.

    Factors are those of the annotation file as it is, whatever of it is trained on: shares are of
    its images with annotations, as in the published codes, and an image has the categories that
    are annotated in it.

    Args:
        dataset: the training images.
        threshold: t; categories with less than this share f(c) are repeated.
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
        shares = self.shares(dataset.statistics)
        factors = category_repeat_factors(shares, threshold)
        self.factors = image_repeat_factors(len(dataset), *dataset.annotated_pairs(), factors)
        """(N,) r of each image."""

    def shares(self, statistics: CategoryStatistics) -> np.ndarray:
        """(C,) f(c), here the share of the images with annotations that show c."""
        return statistics.image_counts.numpy() / (statistics.num_annotated or 1)

    def _order(self, draws: np.random.Generator) -> np.ndarray:
        whole = np.floor(self.factors)
        extra = draws.random(self._num_images) < self.factors - whole
        repeated = np.repeat(np.arange(self._num_images), whole.astype(np.int64) + extra)
        return draws.permutation(repeated)[: self._num_images]


class InstanceAwareRepeatFactorBatches(RepeatFactorBatches):
    """Repeat factors by images and by objects (Yaman et al., arXiv 2305.08069, 2023).

    f(c) is the geometric mean of the share of the images that show c, and of the share of all
    objects that are of c: categories with many objects in few images are repeated less.
    """

    def shares(self, statistics: CategoryStatistics) -> np.ndarray:
        """(C,) f(c)."""
        objects = statistics.instance_counts.numpy()
        return np.sqrt(super().shares(statistics) * objects / max(1, objects.sum()))


def category_repeat_factors(shares: np.ndarray, threshold: float) -> np.ndarray:
    """r(c) = max(1, sqrt(t / f(c))) of shares f(c) in [0, 1]; 1 for a category without objects."""
    return np.maximum(1.0, np.sqrt(threshold / np.where(shares > 0, shares, 1.0)))


def image_repeat_factors(
    num_images: int, index: np.ndarray, label: np.ndarray, factors: np.ndarray
) -> np.ndarray:
    """(N,) r(I) = max of r(c) over the categories in I; 1 for an image without objects.

    Args:
        num_images: N.
        index: (M,) image of each object, in [0, N).
        label: (M,) category of each object, in [0, C).
        factors: (C,) r(c).
    """
    of_images = np.ones(num_images)
    np.maximum.at(of_images, index, factors[label])
    return of_images
