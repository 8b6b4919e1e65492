"""Pairs of boxes on the host: what `class_suppression` does there, by numpy.

On a CPU numpy takes about two thirds of torch's time to pick and combine so many small numbers, and
rounds like it. E: pairs.
"""

import numpy as np
import torch
from torch import Tensor


def members(begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Every member of the ranges [`begin`, `end`) with the number of its range, in order.

    Args:
        begin: (n,) int64.
        end: (n,) int64.

    Returns:
        Two (E,) int64.
    """
    first = begin.numpy()
    count = end.numpy() - first
    before = np.cumsum(count) - count
    found = np.arange(count.sum()) + np.repeat(first - before, count)
    return torch.from_numpy(found), torch.from_numpy(np.repeat(np.arange(len(count)), count))


@np.errstate(all="ignore")
def overlaps(boxes: Tensor, others: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """IoU (E,) of `boxes`[i] (·, 4) with `others`[j] (·, 4), NaN where both are empty.

    Operations and their order are those of `class_suppression`, which warns of nothing either.
    """
    own, theirs = (each.detach().numpy().T.copy() for each in (boxes, others))
    left, top, right, bottom = (each.take(i.numpy()) for each in own)
    other_left, other_top, other_right, other_bottom = (each.take(j.numpy()) for each in theirs)
    shared = _length(left, right, other_left, other_right)
    shared *= _length(top, bottom, other_top, other_bottom)
    union = _areas(own).take(i.numpy())
    union += _areas(theirs).take(j.numpy())
    union -= shared
    shared /= union
    return torch.from_numpy(shared)


def _length(
    low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray
) -> np.ndarray:
    """(E,) of what two intervals share, 0 at least; the arguments are overwritten."""
    np.minimum(high, other_high, out=high)
    high -= np.maximum(low, other_low, out=low)
    np.maximum(high, 0, out=high)
    return high


def _areas(sides: np.ndarray) -> np.ndarray:
    """(n,) of boxes (4, n) xyxy."""
    left, top, right, bottom = sides
    return (right - left) * (bottom - top)
