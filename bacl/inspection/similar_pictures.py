"""Pictures that look the same, among hundreds of thousands, by their difference hashes.

N: pictures.
"""

import numpy as np

from bacl.inspection.neighbours import Pairs, close_pairs

BANDS = 4
"""Of 16 bits: hashes that differ in fewer bits than there are bands agree in one of them."""
DIFFERENT_BITS = BANDS - 1
DIFFERENT_LEVELS = 4.0
"""Mean difference of two thumbnails, of 255, up to which they show the same."""
FLAT = 2.0
"""Standard deviation of the levels of a thumbnail that shows nothing."""


def similar_pairs(outlines: np.ndarray, thumbnails: np.ndarray) -> Pairs:
    """Pairs i < j of pictures that look the same, each once, in order.

    Hashes that differ in at most 3 of 64 bits and thumbnails that differ by at most 4 of 255
    levels: what compression, another size or a little brightness change. Pictures of one colour are
    like no other. The cost is a sort for each of 4 bands, and a comparison for each pair with an
    equal band; 100,000 pictures with even hashes have 0.3 million such pairs.

    Args:
        outlines: (N,) uint64 difference hashes.
        thumbnails: (N, 256) uint8.
    """
    kept = np.flatnonzero(thumbnails.std(axis=1) > FLAT)
    pairs = [_same_band(outlines[kept], band) for band in range(BANDS)]
    both = np.concatenate(pairs, axis=1)
    low, high = np.unique(np.sort(both, axis=0), axis=1)
    first, second = kept[low], kept[high]
    same = levels_apart(thumbnails, first, second) <= DIFFERENT_LEVELS
    return first[same], second[same]


def levels_apart(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) mean absolute difference of pairs of thumbnails (N, 256)."""
    apart = thumbnails[first].astype(np.int16) - thumbnails[second]
    return abs(apart).mean(axis=1) if len(first) else np.zeros(0)


def _same_band(outlines: np.ndarray, band: int) -> np.ndarray:
    """(2, P) pairs with the same 16 bits in a band and few different ones in the others."""
    keys = (outlines >> np.uint64(16 * band)) & np.uint64(0xFFFF)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    found = [np.zeros((2, 0), dtype=np.int64)]
    for first, second in close_pairs(len(keys), lambda i, j: keys[i] == keys[j]):
        pair = np.stack((order[first], order[second]))
        bits = np.bitwise_count(outlines[pair[0]] ^ outlines[pair[1]])
        found.append(pair[:, bits <= DIFFERENT_BITS])
    return np.concatenate(found, axis=1)
