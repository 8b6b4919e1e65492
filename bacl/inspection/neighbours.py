"""Pairs of what lies close together in a sorted sequence, without looking at all pairs."""

from collections.abc import Callable, Iterator

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]
"""(P,) first and (P,) second positions."""


def close_pairs(
    count: int,
    close: Callable[[np.ndarray, np.ndarray], np.ndarray],
    farthest: int | None = None,
) -> Iterator[Pairs]:
    """All pairs i < j of `count` sorted things for which `close(i, j)`, by growing distance.

    The cost is the number of these pairs, and one look more for each thing.

    Args:
        count: of the things.
        close: of (n,) positions i and (n,) positions j, (n,) bool. What is not close at some
            distance is not at a greater one: what is sorted goes apart.
        farthest: distance up to which pairs are looked for; None: all.
    """
    first, distance = np.arange(max(count - 1, 0)), 1
    while len(first) and distance <= (farthest or count):
        first = first[close(first, first + distance)]
        yield first, first + distance
        distance += 1
        first = first[first + distance < count]


def joined(pairs: Iterator[Pairs]) -> Pairs:
    """The pairs in one piece."""
    firsts, seconds = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for first, second in pairs:
        firsts.append(first)
        seconds.append(second)
    return np.concatenate(firsts), np.concatenate(seconds)
