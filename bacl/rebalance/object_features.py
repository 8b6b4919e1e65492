"""One feature of each object of dumped images: what prototypes are the means of.

N: objects of a batch. R: its rows. M: its rows of repeated objects. D: width of a feature.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from bacl.rebalance.dumped_batch import DumpedRows


def object_features(rows: DumpedRows, counts: Sequence[int]) -> Tensor:
    """The mean (N, D) float64 of what the dump has of each object.

    A dump need not have a feature of the very box. It has the object's repeated rows, spread
    around it without a choice: these are taken, and the rows that were matched to it only where
    there are none. An object without any row is zero, which moves no sum.

    Args:
        rows: of training images.
        counts: objects of each image, N together.
    """
    means = rows.features.new_zeros(sum(counts), rows.features.shape[1], dtype=torch.float64)
    known = means.new_zeros(len(means), 1, dtype=torch.bool)
    for features, objects in _groups(rows, counts):
        sums, seen = torch.zeros_like(means), means.new_zeros(len(means), 1)
        # index_put_ sums in a fixed order on CUDA too: runs repeat bit for bit.
        sums.index_put_((objects,), features.double(), accumulate=True)
        seen.index_put_((objects,), seen.new_ones(len(objects), 1), accumulate=True)
        means = torch.where(known, means, sums / seen.clamp(min=1))
        known = known | (seen > 0)
    return means


def _groups(rows: DumpedRows, counts: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Features and their objects' places in the batch: repeated rows, then matched ones."""
    assert rows.objects is not None
    assert rows.foreground is not None
    starts = torch.tensor(list(accumulate(counts[:-1], initial=0)), device=rows.objects.device)
    images = torch.tensor(rows.counts, device=rows.objects.device)
    of_rows = rows.objects + starts.repeat_interleave(images)
    matched = rows.features[rows.foreground], of_rows[rows.foreground]
    if rows.extra_features is None or rows.extra_objects is None:
        return [matched]
    return [(rows.extra_features, rows.extra_objects), matched]
