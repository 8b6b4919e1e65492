"""Candidates of an image in the order of their scores, on the host: as whole numbers, by numpy.

Scores above 0 compare like the bits of their float32 as whole numbers. With those bits in the upper
half of a number, turned round, and the candidate's index in the lower one, the smallest number is
the best candidate, and no two are equal: any way of sorting gives the order of `Ranking`.

N: candidates above the threshold.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

GROWTH = 4
"""Factor by which the ranked part grows while too few candidates survive."""
_HALF = np.uint64(32)  # bits


def best_first(
    scores: Tensor, threshold: float, wanted: int, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """An image's candidates, best first, equal ones by ascending index; see `Ranking.blocks`.

    Args:
        scores: (P, C) float32, on the CPU.
        threshold: candidates score strictly more; 0 at least.
        wanted: how many are ranked at first.
        size: how many are handed over at a time, at most.

    Raises:
        ValueError: a score is not finite.
    """
    values = scores.detach().reshape(-1).numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # what is wrong is told here
        total = values.sum()
    if not np.isfinite(total):
        raise ValueError("probabilities hold values that are not finite: the model diverged")
    numbers = _numbered(values, threshold)
    first = 0
    while first < len(numbers):
        last = min(wanted, len(numbers))
        rest = numbers[first:]  # those before it are ranked
        if last < len(numbers):
            rest.partition(last - first)
        rest[: last - first].sort()
        for start in range(first, last, size):
            index = numbers[start : min(start + size, last)].astype(np.uint32).astype(np.int64)
            yield torch.from_numpy(index), torch.from_numpy(values[index])
        first, wanted = last, GROWTH * wanted


def _numbered(values: np.ndarray, threshold: float) -> np.ndarray:
    """(N,) uint64, the smaller the better, of the (n,) float32 values above a threshold."""
    above = np.flatnonzero(values > np.float32(threshold))
    bits = (~values[above].view(np.uint32)).astype(np.uint64)
    return (bits << _HALF) | above.astype(np.uint64)
