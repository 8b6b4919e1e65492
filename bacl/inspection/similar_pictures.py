"""Pictures that look the same, among hundreds of thousands, by their difference hashes.

N: pictures. G: groups of them, such as training and validation.
"""

from collections.abc import Iterator

import numpy as np

from bacl.inspection.neighbours import Pairs, close_pairs, joined

BANDS = 8
"""Of 8 bits: hashes that differ in fewer bits than there are bands agree in one of them."""
DIFFERENT_BITS = BANDS - 1
CONTRAST = 50.0
"""Standard deviation of the levels to which thumbnails are brought before they are compared."""
DIFFERENT_LEVELS = 8.0
"""Mean difference of the levels of two thumbnails up to which they show the same."""
FLAT = 2.0
"""Standard deviation of the levels of a thumbnail that shows nothing."""
MOST = 1000
"""Pictures with the same band that one is compared with; even hashes of 100,000 have 400."""


def similar_pairs(outlines: np.ndarray, thumbnails: np.ndarray, groups: np.ndarray) -> Pairs:
    """Pairs i < j of pictures that look the same: for each j one i of each group, if there is any.

    Hashes that differ in at most 7 of 64 bits and thumbnails that differ by at most 8 levels at
    equal brightness and contrast: what compression, another size or exposure change. Pictures of
    one colour are like no other. The cost is a sort for each of 8 bands, and a comparison for each
    pair with an equal band, of 100,000 pictures with even hashes 150 million.

    Args:
        outlines: (N,) uint64 difference hashes.
        thumbnails: (N, 256) uint8.
        groups: (N,) in [0, G).
    """
    shows = np.flatnonzero(thumbnails.std(axis=1) > FLAT)
    found = np.zeros((groups.max(initial=0) + 1, len(outlines)), dtype=bool)

    def new_pairs() -> Iterator[Pairs]:
        for one, other in _same_bands(outlines, shows):
            for test in (_is_new, _differ_little, _show_the_same):
                kept = test(one, other)
                one, other = one[kept], other[kept]
            found[groups[one], other] = True
            yield one, other

    def _is_new(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return ~found[groups[one], other]

    def _differ_little(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.bitwise_count(outlines[one] ^ outlines[other]) <= DIFFERENT_BITS

    def _show_the_same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return levels_apart(thumbnails, one, other) <= DIFFERENT_LEVELS

    return joined(new_pairs())


def levels_apart(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) mean absolute difference of pairs of thumbnails (N, 256) of equal mean and contrast."""
    apart = _levelled(thumbnails[first]) - _levelled(thumbnails[second])
    return abs(apart).mean(axis=1)


def _levelled(thumbnails: np.ndarray) -> np.ndarray:
    levels = thumbnails.astype(np.float32)
    levels -= levels.mean(axis=1, keepdims=True)
    return levels * (CONTRAST / levels.std(axis=1, keepdims=True).clip(min=1e-6))


def _same_bands(outlines: np.ndarray, chosen: np.ndarray) -> Iterator[Pairs]:
    """Pairs i < j of the chosen pictures that agree in a band; none occurs twice in one piece."""
    for band in range(BANDS):
        keys = (outlines[chosen] >> np.uint64(8 * band)) & np.uint64(0xFF)
        order = np.argsort(keys, kind="stable")
        keys, order = keys[order], chosen[order]
        for first, second in _equal_neighbours(keys):
            yield order[first], order[second]


def _equal_neighbours(keys: np.ndarray) -> Iterator[Pairs]:
    return close_pairs(len(keys), lambda i, j: keys[i] == keys[j], MOST)
