"""From class probabilities and box deltas to the best detections of an image.

P: proposals. C: foreground classes. A candidate is a (proposal, class) pair. n: candidates that
enter suppression together, best first. E: pairs of candidates of one class.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors.boxes import clip_boxes
from bacl.options.ranges import Count, PositiveShare, ShareBelowOne

FIRST = 2
"""Candidates ranked at first, in units of `max_detections`."""
GROWTH = 4
"""Factor by which the ranked part grows while too few candidates survive."""
BLOCK = 2048
"""Most candidates that enter suppression at once: bounds the pairs held in memory."""


class Postprocess:
    """Per-class non-maximum suppression, then the best detections over all classes.

    The result is exactly that of suppressing every class separately over all its candidates and
    keeping the `max_detections` best survivors; the work is not. Whether a candidate survives
    depends only on better candidates of its own class. So candidates are taken by descending
    score, their boxes are decoded as they are taken, and once enough have survived the others are
    never looked at. IoU is computed only between boxes of one class, without an offset per class,
    and therefore without the rounding that such offsets bring.

    Candidates rank by descending score, then by ascending proposal, then by ascending label, so
    equal scores give the same detections on every run and device. Scores are compared in float32.
    """

    def __init__(
        self,
        score_threshold: ShareBelowOne,
        nms_iou: PositiveShare,
        max_detections: Count,
        decode: Callable[[Tensor, Tensor], Tensor],
        suppress_equal: bool = False,
    ) -> None:
        """Set the rule of selection.

        Args:
            score_threshold: Candidates score strictly more than this; in [0, 1).
            nms_iou: A candidate is dropped where its IoU with a better survivor of its class is
                greater than this; in (0, 1].
            max_detections: Most detections of an image; at least 1.
            decode: Maps deltas (n, 4) and proposals (n, 4) to boxes (n, 4); they are clipped here.
            suppress_equal: Drop candidates at IoU >= `nms_iou`. Published detections recorded on a
                CPU follow this rule, published CUDA code follows the default.

        Raises:
            ValueError: A number is outside its range.
        """
        if not 0 <= score_threshold < 1:
            raise ValueError(f"score_threshold is {score_threshold}; give a number in [0, 1)")
        if not 0 < nms_iou <= 1:
            raise ValueError(f"nms_iou is {nms_iou}; give a number in (0, 1]")
        if max_detections < 1:
            raise ValueError(f"max_detections is {max_detections}; give a number above 0")
        self.score_threshold = score_threshold
        self.max_detections = max_detections
        self.decode = decode
        self.tolerated_iou = _greatest_tolerated(nms_iou, suppress_equal)

    @torch.no_grad()
    def __call__(
        self, proposals: Tensor, deltas: Tensor, probabilities: Tensor, size: tuple[int, int]
    ) -> Detections:
        """Select one image's detections, best first, in pixels of the network's input.

        Args:
            proposals: (P, 4) xyxy in pixels of the network's input.
            deltas: (P, 4C) per class, or (P, 4) shared by all classes.
            probabilities: (P, C+1) scores, background last; background is not read.
            size: Height and width of the image, to which boxes are clipped.

        Raises:
            ValueError: A score, or the box of a detection, is not finite (training diverged).
        """
        scores = probabilities[:, :-1].float()
        deltas_of = deltas.unflatten(1, (-1, 4)).expand(-1, scores.shape[1], -1)
        kept = _nothing(scores.device)
        for ranks in self._ranked(scores.flatten()):
            proposal, label = ranks // scores.shape[1], ranks % scores.shape[1]
            boxes = self.decode(deltas_of[proposal, label], proposals[proposal])
            found = Detections(clip_boxes(boxes.float(), size), scores[proposal, label], label)
            kept = self._suppress(kept, found)
            if len(kept.labels) >= self.max_detections:
                break
        return _finite(_select(kept, slice(self.max_detections)))

    def _ranked(self, scores: Tensor) -> Iterator[Tensor]:
        """Flat indices of candidates, best first, in blocks.

        Where more are needed a longer part is selected again: as it grows geometrically, there are
        few selections, and none sorts scores that are not asked for.
        """
        above = torch.count_nonzero(scores > self.score_threshold)
        count, total = torch.stack((above.double(), scores.sum().double())).tolist()
        if not np.isfinite(total):
            raise ValueError("probabilities hold values that are not finite: the model diverged")
        taken, wanted = 0, FIRST * self.max_detections
        while taken < count:
            wanted = min(wanted, int(count))
            yield from _best(scores, wanted)[taken:].split(BLOCK)
            taken, wanted = wanted, GROWTH * wanted

    def _suppress(self, kept: Detections, found: Detections) -> Detections:
        """`kept`, whose fate is settled, then the survivors of `found`, which rank behind."""
        better, worse = _pairs_between(kept.labels, found.labels)
        overlapping = _iou(kept.boxes, found.boxes, better, worse) > self.tolerated_iou
        free = _count(worse, overlapping, len(found.labels)) == 0
        found = _select(found, free.nonzero().squeeze(1))
        better, worse = _pairs_within(found.labels)
        overlapping = _iou(found.boxes, found.boxes, better, worse) > self.tolerated_iou
        survives = _greedy(better[overlapping], worse[overlapping], len(found.labels))
        return _chain(kept, _select(found, survives.nonzero().squeeze(1)))


def _best(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` greatest scores (·,), descending, equal ones by ascending index."""
    cutoff = scores.topk(count, sorted=False).values.amin()
    indices = (scores >= cutoff).nonzero().squeeze(1)
    return indices[scores[indices].argsort(descending=True, stable=True)[:count]]


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
    count = end - begin
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count)
    before = count.cumsum(0) - count
    return torch.arange(len(owner), device=count.device) + (begin - before)[owner], owner


def _iou(boxes: Tensor, others: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """IoU (E,) of `boxes`[i] (·, 4) with `others`[j] (·, 4), NaN where both are empty.

    Operations and their order are those of the usual kernels, so that borderline pairs agree.
    """
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
        updated = _count(worse, keeps[better], count) == 0
        if torch.equal(updated, keeps):
            return keeps
        keeps = updated


def _greatest_tolerated(iou: float, suppress_equal: bool) -> float:
    """The greatest float32 IoU that does not suppress: float32 tensors are compared with it."""
    nearest = np.float32(iou)
    suppresses = float(nearest) >= iou if suppress_equal else float(nearest) > iou
    return float(np.nextafter(nearest, np.float32(-1)) if suppresses else nearest)


def _nothing(device: torch.device) -> Detections:
    return Detections(
        boxes=torch.zeros(0, 4, device=device),
        scores=torch.zeros(0, device=device),
        labels=torch.zeros(0, dtype=torch.int64, device=device),
    )


def _chain(first: Detections, second: Detections) -> Detections:
    return Detections(
        boxes=torch.cat((first.boxes, second.boxes)),
        scores=torch.cat((first.scores, second.scores)),
        labels=torch.cat((first.labels, second.labels)),
    )


def _select(detections: Detections, index: Tensor | slice) -> Detections:
    return Detections(detections.boxes[index], detections.scores[index], detections.labels[index])


def _finite(detections: Detections) -> Detections:
    if not torch.isfinite(detections.boxes).all():
        raise ValueError("deltas or proposals hold values that are not finite: the model diverged")
    return detections
