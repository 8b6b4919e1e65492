"""Which object a box is matched to, and which boxes a training step uses.

N: boxes (anchors or proposals) of an image. G: its objects. R: sampled RoIs of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.boxes import pairwise_iou
from bacl.messages.errors import OptionError
from bacl.options.ranges import Count, PositiveShare, Share

BACKGROUND = -1
"""The match of a box that is a negative example."""
IGNORED = -2
"""The match of a box that is no example at all."""


class IoUMatcher:
    """Matches boxes to objects by overlap (Faster R-CNN 2015, Sec. 3.1.2).

    Args:
        positive: a box belongs to the object it overlaps most from this IoU on.
        negative: a box is background below this IoU; between the two it is ignored.
        low_quality: the boxes that overlap an object most belong to it from this IoU on, whatever
            else they overlap more (of several such objects the last wins); None for no such rule.

    Raises:
        OptionError: `negative` above `positive`.
    """

    def __init__(
        self, positive: PositiveShare, negative: PositiveShare, low_quality: Share | None
    ) -> None:
        if negative > positive:
            raise OptionError(
                f"a matcher's negative={negative} is above its positive={positive}: a box would be "
                "background and an object's"
            )
        self.positive = positive
        self.negative = negative
        self.low_quality = low_quality

    def at(self, iou: float) -> "IoUMatcher":
        """The same rule with every threshold at `iou`."""
        return IoUMatcher(iou, iou, None if self.low_quality is None else iou)

    @torch.no_grad()
    def __call__(self, objects: Tensor, boxes: Tensor) -> Tensor:
        """Index of the matched object, BACKGROUND or IGNORED, int64 (N,); `objects` is (G, 4)."""
        if len(objects) == 0 or len(boxes) == 0:
            return torch.full((len(boxes),), BACKGROUND, device=boxes.device)
        overlaps = pairwise_iou(objects, boxes)
        highest, matches = overlaps.max(dim=0)
        matches.masked_fill_(highest < self.positive, IGNORED)
        matches.masked_fill_(highest < self.negative, BACKGROUND)
        if self.low_quality is None:
            return matches
        owners = _last_owner(overlaps, self.low_quality)
        return torch.where(owners < 0, matches, owners)


def _last_owner(overlaps: Tensor, minimum: float) -> Tensor:
    """Last object whose best overlap, `minimum` or more, each box attains; -1 without any: (N,)."""
    best = overlaps.amax(dim=1, keepdim=True)
    # An object without any sufficient box asks for an overlap that no box has.
    best.masked_fill_(best < minimum, 2.0)
    number = torch.arange(1, len(overlaps) + 1, dtype=torch.int16, device=overlaps.device)
    owners = overlaps.eq(best).to(torch.int16).mul_(number.unsqueeze(1)).amax(dim=0)
    return owners.long() - 1


class BalancedSampler:
    """Draws positive and negative boxes without replacement.

    Args:
        count: boxes per image.
        positive_fraction: at most this part is positive; negatives fill up what is missing.
    """

    def __init__(self, count: Count, positive_fraction: Share) -> None:
        self.count = count
        self.positive_fraction = positive_fraction

    def __call__(self, matches: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Indices of the drawn positives and of the drawn negatives among each image's matches.

        Args:
            matches: (N,) per image, from an `IoUMatcher`.
        """
        candidates = _indices([m for each in matches for m in (each >= 0, each == BACKGROUND)])
        drawn = []
        for own, others in zip(candidates[::2], candidates[1::2], strict=True):
            positives = _draw(own, int(self.count * self.positive_fraction))
            drawn.append((positives, _draw(others, self.count - len(positives))))
        return drawn


def _indices(masks: Sequence[Tensor]) -> list[Tensor]:
    """Where each mask holds; all of them together, so that a GPU is waited for twice in all."""
    counts = torch.stack([mask.sum() for mask in masks]).tolist()
    every = torch.cat(list(masks)).nonzero().flatten().split(counts)
    starts = accumulate((len(mask) for mask in masks), initial=0)
    return [rows - start for rows, start in zip(every, starts, strict=False)]


def _draw(candidates: Tensor, count: int) -> Tensor:
    if len(candidates) <= count:
        return candidates
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:count]]


@dataclass(eq=False)
class SampledRoIs:
    """The RoIs of a training step, images in order, positives first within an image."""

    boxes: list[Tensor]
    """(·, 4) per image; R in all."""
    labels: Tensor
    """(R,) int64 in [0, C]; C is background."""
    objects: Tensor
    """(R,) int64, index of the matched object in its image's target; BACKGROUND for negatives."""
    object_boxes: Tensor
    """(R, 4) box of the matched object; zeros for negatives."""
    sources: Tensor
    """(R,) int64, the proposal of its image that an RoI is; negative for an object's own box."""
    positives: list[Tensor]
    """Per image the rows, in [0, R) and ascending, of its positives."""

    @cached_property
    def foreground(self) -> Tensor:
        """(·,) int64 in [0, R), ascending: rows of all positives; the host knows how many."""
        return torch.cat(self.positives)

    @cached_property
    def added(self) -> Tensor:
        """(R,) bool, where a box is an object's own and no proposal."""
        return self.sources < 0


class RoISampler:
    """Samples proposals for the RoI head; objects' own boxes take part as proposals.

    Args:
        matcher: proposals to objects.
        sampler: number of RoIs per image and part of positives.
    """

    def __init__(self, matcher: IoUMatcher, sampler: BalancedSampler) -> None:
        self.matcher = matcher
        self.sampler = sampler

    def at(self, iou: float) -> "RoISampler":
        """A sampler like this one, whose matcher has every threshold at `iou`."""
        return RoISampler(self.matcher.at(iou), self.sampler)

    @torch.no_grad()
    def __call__(
        self,
        proposals: Sequence[Tensor],
        targets: Sequence[Target],
        num_classes: int,
        usable: Sequence[Tensor] | None = None,
    ) -> SampledRoIs:
        """RoIs of proposals.

        Args:
            proposals: (P, 4) per image.
            targets: one per image.
            num_classes: label of background.
            usable: (P,) bool per image; the other proposals count as absent. All by default.
        """
        masks = [None] * len(proposals) if usable is None else usable
        images = zip(proposals, targets, masks, strict=True)
        matches = [self._matches(*image) for image in images]
        draws = self.sampler(matches)
        rows = zip(proposals, targets, matches, draws, strict=True)
        boxes, *rest = zip(*(self._sample(*row, num_classes) for row in rows), strict=True)
        labels, objects, object_boxes, sources = (torch.cat(parts) for parts in rest)
        starts = accumulate((len(image) for image in boxes), initial=0)
        positives = [
            torch.arange(start, start + len(own), device=own.device)
            for start, (own, _) in zip(starts, draws, strict=False)
        ]
        return SampledRoIs(list(boxes), labels, objects, object_boxes, sources, positives)

    def _matches(self, proposals: Tensor, target: Target, usable: Tensor | None) -> Tensor:
        """The match of each of the objects' own boxes, then of each proposal."""
        own = torch.arange(len(target.boxes), device=proposals.device)
        if usable is None:
            return torch.cat((own, self.matcher(target.boxes, proposals)))
        # An empty box overlaps nothing and so takes no object away from the others. To leave these
        # proposals out instead, the host would have to wait for their number.
        overlapping = proposals.where(usable.unsqueeze(1), 0)
        matches = self.matcher(target.boxes, overlapping).masked_fill_(~usable, IGNORED)
        return torch.cat((own, matches))

    def _sample(
        self,
        proposals: Tensor,
        target: Target,
        matches: Tensor,
        draw: tuple[Tensor, Tensor],
        num_classes: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        positives, negatives = draw
        candidates = torch.cat((target.boxes.to(proposals), proposals))
        chosen = torch.cat((positives, negatives))
        boxes = candidates[chosen]
        labels = target.labels.new_full((len(boxes),), num_classes)
        objects = torch.full_like(labels, BACKGROUND)
        object_boxes = torch.zeros_like(boxes)
        count = len(positives)
        objects[:count] = matches[positives]
        labels[:count] = target.labels[objects[:count]]
        object_boxes[:count] = target.boxes[objects[:count]]
        return boxes, labels, objects, object_boxes, chosen - len(target.boxes)
