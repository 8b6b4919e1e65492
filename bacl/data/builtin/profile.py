"""How often each category of the built-in set appears, and in which images.

The training images follow the profile of LVIS v0.5: as many of the categories are rare, common
and frequent (1-10, 11-100, more than 100 images), and inside a group the image counts are LVIS's
quantiles. The validation images are much flatter, so that AP_r is measured on more than a handful
of objects. In LVIS val, rare categories have one or two; it affords that with 5,000 images.
"""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from bacl.messages.errors import OptionError

# Deciles of the image counts of LVIS v0.5 train, and the number of categories of each group.
RARE = (1, 1, 1, 2, 3, 3, 4, 6, 7, 8, 10)
COMMON = (11, 13, 16, 20, 23, 27, 33, 41, 55, 73, 100)
FREQUENT = (101, 130, 172.8, 246, 354, 500, 682, 962.6, 1073, 1097, 1145)
GROUPS = (454, 461, 315)
MAX_COMMON = 100
FLATNESS = 0.25
"""Validation image counts go with the training image counts to this power."""
MOST = 0.9
"""No category is in more than this share of the images: all need images without them."""
LOOSENESS = 4.0
"""How far apart the numbers of categories of two images may drift while they are filled."""

FULL = 1e6
"""Puts images that are full behind all others."""

Counts = NDArray[np.int64]


def training_counts(num_categories: int, num_images: int, presences: int) -> Counts:
    """Images of each category, most first, (C,), for about `presences` in all.

    The most frequent category's count is the largest that fits. Where there are too few images for
    the frequent categories to be in more than 100, every count is scaled down, to at least 1.

    Raises:
        OptionError: if there is no room for one image of each category.
    """
    if presences < num_categories:
        raise OptionError(
            f"num_train={num_images} images have room for about {presences} appearances of "
            f"categories, fewer than num_categories={num_categories}: raise num_train or "
            f"objects_per_image"
        )
    tops = range(MAX_COMMON + 1, int(MOST * num_images) + 1)
    fit = bisect_right(tops, presences, key=lambda top: int(_profile(num_categories, top).sum()))
    if fit:
        return _profile(num_categories, tops[fit - 1])
    return _scaled_to(_profile(num_categories, FREQUENT[-1]), num_images, presences)


def validation_counts(training: Counts, num_images: int, presences: int) -> Counts:
    """Images of each category, (C,): the training counts flattened; 0 where there is no room."""
    weights = training**FLATNESS
    exact = np.minimum(presences * weights / weights.sum(), MOST * num_images)
    counts = np.floor(exact).astype(np.int64)
    short = max(0, min(presences, round(exact.sum())) - int(counts.sum()))
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts


def spread(
    counts: Counts, num_images: int, most: int, random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The categories of each image: category c is in exactly counts[c] images, all different.

    Args:
        counts: (C,), each at most `num_images`.
        num_images: over which the categories are spread evenly, but not regularly.
        most: an image gets more categories than this only when all others are full too.
        random: draws the images.
    """
    load = np.zeros(num_images, np.int64)
    pairs = []
    for category in np.argsort(-counts, kind="stable"):
        key = load + random.uniform(0, LOOSENESS, num_images) + (load >= most) * FULL
        chosen = np.argsort(key)[: counts[category]]
        load[chosen] += 1
        pairs.append(np.stack([chosen, np.full(len(chosen), category)], axis=1))
    images, categories = np.concatenate(pairs).T
    order = np.lexsort((categories, images))
    ends = np.cumsum(np.bincount(images, minlength=num_images))[:-1]
    return np.split(categories[order], ends)


def frequency(counts: Counts) -> list[str]:
    """LVIS's groups of image counts: r up to 10, c up to 100, f above."""
    return np.array(["r", "c", "f"])[np.searchsorted([10, MAX_COMMON], counts)].tolist()


def _profile(num_categories: int, top: float) -> Counts:
    """Image counts, most first, when the most frequent category is in `top` images."""
    rare, common, frequent = _group_sizes(num_categories)
    stretch = np.log(top / FREQUENT[0]) / np.log(FREQUENT[-1] / FREQUENT[0])
    heads = FREQUENT[0] * (_quantiles(FREQUENT, frequent) / FREQUENT[0]) ** stretch
    parts = [heads, _quantiles(COMMON, common), _quantiles(RARE, rare)]
    return np.concatenate(parts).round().astype(np.int64)


def _group_sizes(num_categories: int) -> tuple[int, int, int]:
    rare, common, _ = (round(num_categories * group / sum(GROUPS)) for group in GROUPS)
    return rare, common, num_categories - rare - common


def _quantiles(deciles: tuple[float, ...], number: int) -> NDArray[np.float64]:
    """`number` values of a group, most first, spaced evenly over its distribution."""
    at = (np.arange(number)[::-1] + 0.5) / max(number, 1)
    return np.interp(at, np.linspace(0, 1, len(deciles)), deciles)


def _scaled_to(profile: Counts, num_images: int, presences: int) -> Counts:
    most = max(1, int(MOST * num_images))

    def scaled(scale: float) -> Counts:
        return np.clip((profile * scale).astype(np.int64), 1, most)

    scales = np.geomspace(1e-5, 1, 1000).tolist()
    fit = bisect_right(scales, presences, key=lambda scale: int(scaled(scale).sum()))
    return scaled(scales[max(fit, 1) - 1])
