"""The conditions of the benchmarks, each a bit of a word.

A *condition* is an area range with an IoU threshold: bit range * thresholds + threshold of 64.
"""

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
"""Square pixels, both ends belong to the range."""

_ONE_RANGE = (1 << len(IOU_THRESHOLDS)) - 1
_EACH_RANGE = sum(1 << len(IOU_THRESHOLDS) * index for index in range(len(AREA_RANGES)))
REACHED = np.array(
    [((1 << n) - 1) * _EACH_RANGE for n in range(len(IOU_THRESHOLDS) + 1)], np.uint64
)
"""Word of the first n thresholds in every range, for n = 0 .. all."""
_ENDS = sorted({end for ends in AREA_RANGES.values() for end in ends})


def _area_words() -> np.ndarray:
    """(2 E + 1,) uint64: below the first end of a range, at it, beyond it, at the next and so on.

    A word has all thresholds of every range there.
    """
    places = np.arange(2 * len(_ENDS) + 1)
    words = np.zeros(len(places), np.uint64)
    for index, (low, high) in enumerate(AREA_RANGES.values()):
        first, last = (2 * _ENDS.index(end) + 1 for end in (low, high))
        inside = (places >= first) & (places <= last)
        words[inside] |= np.uint64(_ONE_RANGE << len(IOU_THRESHOLDS) * index)
    return words


_AREA_WORDS = _area_words()


def area_conditions(areas: np.ndarray) -> np.ndarray:
    """(N,) uint64: all thresholds of every range that contains the area."""
    place = np.zeros(len(areas), np.uint8)
    for end in _ENDS:
        place += (areas >= end).view(np.uint8) + (areas > end).view(np.uint8)
    return _AREA_WORDS[place]
