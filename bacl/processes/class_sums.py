"""Sums of rows per class over all processes: what every training statistic is made of."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bacl.processes.distributed import sum_over_processes


@dataclass(slots=True)
class ClassSums:
    """Sums over the classes that occur on any process; the same on every process."""

    classes: Tensor
    """(U,) int64, ascending: the classes that occur."""
    counts: Tensor
    """(U,) int64: their rows over all processes, at least 1."""
    totals: Tensor
    """(U, X) float64: sums of their rows over all processes."""


def rows_per_class(labels: Tensor, num_classes: int, chosen: Tensor | None = None) -> Tensor:
    """Rows of each class on this process, background (label C) left out.

    Args:
        labels: (R,) int64 in [0, C].
        num_classes: C.
        chosen: (R,) bool, the rows that count; all by default.

    Returns:
        (C,) int64.
    """
    ones = torch.ones_like(labels) if chosen is None else chosen.to(torch.int64)
    counts = labels.new_zeros(num_classes + 1).index_add_(0, labels, ones)
    return counts[:num_classes]


def sum_per_class(values: Tensor, labels: Tensor, num_classes: int) -> ClassSums:
    """Sum foreground rows per class over all processes.

    Every process calls it together, also one without rows. Only classes that occur somewhere are
    summed and sent: a few dozen of more than a thousand.

    Args:
        values: (P, X) of any floating type, summed in float64.
        labels: (P,) int64 in [0, C).
        num_classes: C.
    """
    return class_totals(values, labels, sum_over_processes(rows_per_class(labels, num_classes)))


def class_totals(values: Tensor, labels: Tensor, counts: Tensor) -> ClassSums:
    """`sum_per_class`, where the counts (C,) int64 of all processes are known."""
    classes = counts.nonzero().squeeze(1)
    places = torch.searchsorted(classes, labels)
    totals = values.new_zeros((len(classes), values.shape[1]), dtype=torch.float64)
    # index_put_ sums in a fixed order on CUDA too, unlike index_add_: runs repeat bit for bit.
    totals.index_put_((places,), values.double(), accumulate=True)
    return ClassSums(classes, counts[classes], sum_over_processes(totals))
