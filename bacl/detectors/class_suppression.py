"""Non-maximum suppression within groups of boxes, by pairs of a group and without an offset.

n: boxes, best first within their group. E: pairs of boxes of one group.
"""

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors import host_pairs

ON_HOST = ("cpu",)
"""Devices whose pairs are looked at by `host_pairs`."""
ROUNDS = 2
"""Rounds of suppression between two looks at whether anything changes, for which a GPU is waited
for."""


def greatest_tolerated(iou: float, suppress_equal: bool = False) -> float:
    """The greatest float32 IoU that does not suppress: float32 tensors are compared with it."""
    nearest = np.float32(iou)
    suppresses = float(nearest) >= iou if suppress_equal else float(nearest) > iou
    return float(np.nextafter(nearest, np.float32(-1)) if suppresses else nearest)


def free(
    kept: Tensor, kept_groups: Tensor, boxes: Tensor, groups: Tensor, tolerated: float
) -> Tensor:
    """Which `boxes` (n, 4) of `groups` (n,) no box that is `kept` suppresses, (n,) bool."""
    better, worse = _pairs_between(kept_groups, groups)
    overlapping = _iou(kept, boxes, better, worse) > tolerated
    return _count(worse, overlapping, len(groups)) == 0


def survivors(boxes: Tensor, groups: Tensor, tolerated: float) -> Tensor:
    """Which `boxes` (n, 4) of `groups` (n,) greedy suppression keeps, (n,) bool."""
    better, worse = _pairs_within(groups)
    overlapping = (_iou(boxes, boxes, better, worse) > tolerated).nonzero().squeeze(1)
    return _greedy(better[overlapping], worse[overlapping], len(groups))


def covered(kept: Detections, others: Detections, share: float, surety: float) -> Tensor:
    """Which of `others` lie within one of `kept` of their class, (n,) bool.

    Args:
        kept: detections of an image.
        others: n detections of it.
        share: of an own area, that lies within the other box; more is covered.
        surety: of an own score, that the other one has at least.
    """
    i, j = _pairs_between(kept.labels, others.labels)
    low = torch.maximum(kept.boxes[i, :2], others.boxes[j, :2])
    high = torch.minimum(kept.boxes[i, 2:], others.boxes[j, 2:])
    shared = (high - low).clamp_(min=0).prod(1)
    within = shared > share * _areas(others.boxes)[j]
    sure = kept.scores[i] >= surety * others.scores[j]
    return _count(j, within & sure, len(others.labels)) > 0


def _pairs_between(kept: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """All (i, j) with equal `kept`[i] and `labels`[j], as two tensors (E,)."""
    ordered, position = kept.sort()
    begin = torch.searchsorted(ordered, labels)
    end = torch.searchsorted(ordered, labels, right=True)
    better, worse = _members(begin, end)
    return position[better], worse


def _pairs_within(labels: Tensor) -> tuple[Tensor, Tensor]:
    """All (i, j) with equal `labels`[i] and `labels`[j] and i < j, as two tensors (E,)."""
    ordered, position = labels.sort(stable=True)
    begin = torch.searchsorted(ordered, ordered)
    better, worse = _members(begin, torch.arange(len(labels), device=labels.device))
    return position[better], position[worse]


def _members(begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Every member of the ranges [`begin`, `end`) with the number of its range, in order."""
    if begin.device.type in ON_HOST:
        return host_pairs.members(begin, end)
    count = end - begin
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count)
    before = count.cumsum(0) - count
    return torch.arange(len(owner), device=count.device) + (begin - before)[owner], owner


def _iou(boxes: Tensor, others: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """IoU (E,) of `boxes`[i] (·, 4) with `others`[j] (·, 4), NaN where both are empty.

    Operations and their order are those of the usual kernels, so that borderline pairs agree.
    """
    if boxes.device.type in ON_HOST:
        return host_pairs.overlaps(boxes, others, i, j)
    left, top, right, bottom = boxes.t().contiguous().index_select(1, i)
    other_left, other_top, other_right, other_bottom = others.t().contiguous().index_select(1, j)
    width = torch.minimum(right, other_right).sub_(torch.maximum(left, other_left))
    height = torch.minimum(bottom, other_bottom).sub_(torch.maximum(top, other_top))
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    return shared / (_areas(boxes)[i] + _areas(others)[j]).sub_(shared)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _count(index: Tensor, flags: Tensor, size: int) -> Tensor:
    """How many of `flags` (E,) are set per value of `index` (E,): (size,) int32."""
    counts = torch.zeros(size, dtype=torch.int32, device=index.device)
    return counts.index_add_(0, index, flags.int())


def _greedy(better: Tensor, worse: Tensor, count: int) -> Tensor:
    """Which of `count` candidates greedy suppression keeps, (count,) bool.

    Args:
        better: (E,) the better candidate of each overlapping pair.
        worse: (E,) the worse one.
        count: Number of candidates, n.

    All start as kept. A round drops exactly those that overlap a better candidate kept by the round
    before, so after k rounds the answer is final for chains of k overlaps, and a round that
    changes nothing has found the only answer. Chains are short where classes are many.
    """
    keeps = torch.ones(count, dtype=torch.bool, device=better.device)
    while True:
        for _ in range(ROUNDS):
            before, keeps = keeps, _count(worse, keeps[better], count) == 0
        if torch.equal(before, keeps):
            return keeps
