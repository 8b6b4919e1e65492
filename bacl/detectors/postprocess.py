"""From class probabilities and box deltas to the best detections of an image.

P: proposals. C: foreground classes. A candidate is a (proposal, class) pair. n: candidates that
enter suppression together, best first.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors.boxes import clipped, large_enough, limits
from bacl.detectors.candidates import Candidates
from bacl.detectors.class_suppression import free, greatest_tolerated, survivors
from bacl.detectors.ranking import Ranked, blocks_of_each
from bacl.detectors.transfers import sent
from bacl.options.ranges import Count, NotNegative, PositiveShare, ShareBelowOne

FIRST = 2
"""Candidates ranked at first, in units of `max_detections`."""
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
        min_side: NotNegative = 0.0,
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
            min_side: Pixels of the network's input; a box with a shorter side is no candidate.

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
        self.tolerated_iou = greatest_tolerated(nms_iou, suppress_equal)
        self.min_side = min_side

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
        (detections,) = self.together([proposals], [deltas], [probabilities], [size])
        return detections

    @torch.no_grad()
    def together(
        self,
        proposals: Sequence[Tensor],
        deltas: Sequence[Tensor],
        probabilities: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """Each image's detections; a GPU is waited for about as often as for one image alone."""
        if not probabilities:
            return []
        scores = [each[:, :-1].float() for each in probabilities]
        images, classes = list(range(len(scores))), scores[0].shape[1]
        blocks = blocks_of_each(scores, self.score_threshold, FIRST * self.max_detections, BLOCK)
        kept = [_nothing(scores[0].device)] * len(scores)
        while images:
            ranks = {image: block for image in images for block in islice(blocks[image], 1)}
            images = list(ranks)
            if images:
                taken = _taken(proposals, deltas, ranks, classes)
                found = self._decoded(*taken, [sizes[image] for image in images])
                left = self._suppressed([kept[i] for i in images], found, classes)
                for image, own in zip(images, left, strict=True):
                    kept[image] = _chain(kept[image], own)
            images = [i for i in images if len(kept[i].labels) < self.max_detections]
        return _finite([_select(own, slice(self.max_detections)) for own in kept])

    def _decoded(
        self,
        deltas: Tensor,
        proposals: Tensor,
        scores: Tensor,
        labels: Tensor,
        counts: list[int],
        sizes: Sequence[tuple[int, int]],
    ) -> Candidates:
        boxes = self.decode(deltas, proposals).float()
        found = Candidates(boxes, scores, labels, counts)
        found.boxes = clipped(boxes, limits(sizes, boxes.device)[found.images])
        if self.min_side > 0:
            return found.where(large_enough(found.boxes, self.min_side))
        return found

    def _suppressed(
        self, kept: Sequence[Detections], found: Candidates, num_classes: int
    ) -> list[Detections]:
        """Each image's survivors of `found`, which rank behind `kept`, whose fate is settled."""
        if any(len(image.labels) for image in kept):
            old = Candidates.of(kept)
            both = old.groups(num_classes), found.boxes, found.groups(num_classes)
            found = found.where(free(old.boxes, *both, self.tolerated_iou))
        groups = found.groups(num_classes)
        return found.where(survivors(found.boxes, groups, self.tolerated_iou)).split()


def _taken(
    proposals: Sequence[Tensor], deltas: Sequence[Tensor], ranks: Mapping[int, Ranked], classes: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[int]]:
    """Deltas, proposals (·, 4), scores and labels (·,) of each image's `ranks` in (P, C).

    Images lie one after the other, each with as many as the last of these says.
    """
    index, scores = (torch.cat(part) for part in zip(*ranks.values(), strict=True))
    counts = [len(own) for own, _ in ranks.values()]
    row, label = index // classes, index % classes
    firsts = np.cumsum([0, *map(len, proposals)])[list(ranks)].repeat(counts)
    parts = zip(ranks, index.split(counts), row.split(counts), strict=True)
    of_deltas = [_of_each(deltas[image], *own) for image, *own in parts]
    boxes = torch.cat(list(proposals))[row + sent(firsts, row.device)]
    return torch.cat(of_deltas), boxes, scores, label, counts


def _nothing(device: torch.device) -> Detections:
    return Detections(
        boxes=torch.zeros(0, 4, device=device),
        scores=torch.zeros(0, device=device),
        labels=torch.zeros(0, dtype=torch.int64, device=device),
    )


def _of_each(deltas: Tensor, index: Tensor, row: Tensor) -> Tensor:
    """(n, 4) deltas of candidates, which `index` counts in (P, C), and `row` in P.

    Args:
        deltas: (P, 4C), or (P, 4) for all classes.
        index: (n,) int64.
        row: (n,) int64.
    """
    if deltas.shape[1] == 4:
        return deltas.index_select(0, row)
    return deltas.reshape(-1, 4).index_select(0, index)


def _chain(first: Detections, second: Detections) -> Detections:
    if len(first.labels) == 0:
        return second
    return Detections(
        boxes=torch.cat((first.boxes, second.boxes)),
        scores=torch.cat((first.scores, second.scores)),
        labels=torch.cat((first.labels, second.labels)),
    )


def _select(detections: Detections, index: Tensor | slice) -> Detections:
    return Detections(detections.boxes[index], detections.scores[index], detections.labels[index])


def _finite(images: list[Detections]) -> list[Detections]:
    if not torch.isfinite(torch.cat([image.boxes for image in images])).all():
        raise ValueError("deltas or proposals hold values that are not finite: the model diverged")
    return images
