"""Which object a box is matched to, and which boxes a training step uses.

N: boxes (anchors or proposals) of an image. G: its objects. R: sampled RoIs of the batch.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.claims import claims
from bacl.detectors.sampled_rois import (
    BACKGROUND,
    IGNORED,
    Drawn,
    Places,
    SampledRoIs,
    sampled_rois,
)
from bacl.detectors.transfers import Awaited, sent
from bacl.messages.errors import OptionError
from bacl.options.ranges import Count, PositiveShare, Share


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
    def __call__(
        self,
        objects: Tensor,
        counts: Sequence[int],
        coordinates: Tensor,
        usable: Tensor | None = None,
    ) -> Tensor:
        """Row of the matched object, BACKGROUND or IGNORED, int64 (B, N).

        Args:
            objects: (G, 4) of all images, one image after the other.
            counts: number of each image's objects.
            coordinates: (4, 1, N) or (4, B, N) float32; x1, y1, x2 and y2 of the boxes, which are
                the same in all images or each image's own.
            usable: (B, N) bool; the other boxes are IGNORED and as if absent. All by default.
        """
        highest, matches, owners = claims(objects, counts, coordinates, usable, self.low_quality)
        if self.negative < self.positive:
            matches.masked_fill_(highest < self.positive, IGNORED)
        matches.masked_fill_(highest < self.negative, BACKGROUND)
        if self.low_quality is not None:
            matches = torch.where(owners > 0, owners.sub(1), matches)
        return matches if usable is None else matches.masked_fill_(~usable, IGNORED)


class BalancedSampler:
    """Draws positive and negative boxes without replacement.

    Args:
        count: boxes per image.
        positive_fraction: at most this part is positive; negatives fill up what is missing.
    """

    def __init__(self, count: Count, positive_fraction: Share) -> None:
        self.count = count
        self.positive_fraction = positive_fraction

    def __call__(self, matches: Tensor, by_image: bool, awaited: Awaited | None = None) -> Drawn:
        """Draw for each image among its own matches.

        Args:
            matches: (B, N), from an `IoUMatcher`.
            by_image: the drawn boxes of an image follow each other, positives first; otherwise the
                positives of all images come before all negatives.
            awaited: what is fetched along with the numbers of candidates.
        """
        candidates = torch.stack((matches >= 0, matches == BACKGROUND))
        # The k-th candidate is where k of them are counted: to list them all would take long.
        counted = candidates.flatten().cumsum(0, dtype=torch.int32)
        numbers = _numbers(counted, matches.shape, awaited or Awaited())
        starts = numbers.cumsum().reshape(numbers.shape) - numbers
        parts = self._draw(numbers, matches.device)
        sizes = np.array([[len(part) for part in kind] for kind in parts])
        kinds, images = np.indices(sizes.shape).reshape(2, -1)
        if by_image:
            kinds, images = np.indices(sizes.T.shape).reshape(2, -1)[::-1]
        drawn = torch.cat([parts[kind][image] for kind, image in zip(kinds, images, strict=True)])
        first = np.repeat(starts[kinds, images], sizes[kinds, images]).astype(np.int32)
        rows = torch.searchsorted(counted, drawn + sent(first, matches.device), right=True)
        return Drawn(rows % max(matches.numel(), 1), sizes)

    def _draw(self, numbers: np.ndarray, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        """Ranks of drawn positives and negatives of each image among its `numbers` (2, B)."""
        every = _ranks(self.count, device)
        positives, negatives = [], []
        for own, others in numbers.T.tolist():
            positives.append(_some(every, own, int(self.count * self.positive_fraction)))
            negatives.append(_some(every, others, self.count - len(positives[-1])))
        return positives, negatives


def _numbers(counted: Tensor, shape: torch.Size, awaited: Awaited) -> np.ndarray:
    """(2, B) int64 candidates, of which `counted` (2 B N,) are up to each place."""
    if len(counted) == 0:
        return np.zeros((2, shape[0]), dtype=np.int64)
    ends = awaited.later(counted[shape[1] - 1 :: shape[1]])()
    return np.diff(ends, prepend=0).reshape(2, -1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a training step may ask for them, too
def _ranks(count: int, device: torch.device) -> Tensor:
    """0, 1, … (count,) int32, made once."""
    return torch.arange(count, dtype=torch.int32, device=device)


def _some(every: Tensor, number: int, count: int) -> Tensor:
    """`count` of the ranks below `number`, or all."""
    if number <= count:
        return every[:number]
    return torch.randperm(number, dtype=every.dtype, device=every.device)[:count]


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
        awaited: Awaited | None = None,
    ) -> SampledRoIs:
        """RoIs of proposals.

        Args:
            proposals: (P, 4) per image.
            targets: one per image.
            num_classes: label of background.
            usable: (P,) bool per image; the other proposals count as absent. All by default.
            awaited: what is fetched along with the numbers of candidates.
        """
        counts = [len(target.boxes) for target in targets]
        places = Places(counts, [len(own) for own in proposals])
        objects = [target.boxes.to(own) for target, own in zip(targets, proposals, strict=True)]
        pairs = zip(objects, proposals, strict=True)
        rows, given = sent(np.stack((places.rows, places.given)), objects[0].device)
        boxes = torch.cat([part for pair in pairs for part in pair])[rows]
        free = sent(places.free, boxes.device)
        if usable is not None:
            none = free.new_zeros(1)  # there may be no proposal at all
            free = free & torch.cat((*usable, none))[sent(places.proposals, boxes.device)]
        every = torch.cat((*objects, boxes.new_zeros(1, 4)))
        # An empty box overlaps nothing and so takes no object away from the others.
        shown = (boxes * free.unsqueeze(2)).movedim(2, 0)
        matches = torch.where(free, self.matcher(every[:-1], counts, shown), given)
        drawn = self.sampler(matches, True, awaited)
        labels = [target.labels for target in targets]
        labels.append(labels[0].new_full((1,), num_classes))
        return sampled_rois(drawn, boxes, matches, every, torch.cat(labels), places)
