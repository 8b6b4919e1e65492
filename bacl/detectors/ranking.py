"""Candidates for detections in the order of their scores, without sorting all of them.

B: images. C: foreground classes. N: candidates of the image with the most regions.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bacl.detectors.host_ranking import GROWTH, best_first
from bacl.detectors.transfers import EXPONENT, Awaited

ALONE_ON = ("cpu",)
"""Devices on which each image's candidates are ranked by themselves, by `host_ranking`."""
Ranked = tuple[Tensor, Tensor]
"""Indices (·,) int64 of candidates, and their scores (·,)."""


def blocks_of_each(
    scores: Sequence[Tensor], threshold: float, wanted: int, size: int
) -> list[Iterator[Ranked]]:
    """For each image its candidates, best first, at most `size` at a time (see `Ranking`)."""
    if scores[0].device.type in ALONE_ON:
        return [best_first(own, threshold, wanted, size) for own in scores]
    ranking = Ranking(scores, threshold, wanted, Awaited())
    return [ranking.blocks(image, size) for image in range(ranking.images)]


class Ranking:
    """Each image's candidates above a threshold, best first, equal ones by ascending index.

    The first of all images are ranked together. Where an image needs more a longer part of it is
    selected again: as it grows geometrically, there are few selections, and none sorts scores that
    are not asked for.

    Args:
        scores: (P, C) float32 of each image, B of them.
        threshold: candidates score strictly more; 0 at least.
        wanted: how many are ranked at first.
        awaited: fetches how many there are; so the host waits once for all images.
    """

    def __init__(
        self, scores: Sequence[Tensor], threshold: float, wanted: int, awaited: Awaited
    ) -> None:
        self.images = len(scores)
        self._scores = _side_by_side(scores)
        self._above, self._wanted = self._scores > threshold, wanted
        bits = self._scores.sum(dim=1).view(torch.int32)
        self._numbers = awaited.later(torch.cat((self._above.sum(dim=1), bits)))
        self._first = self._best(slice(None), wanted, awaited)

    def blocks(self, image: int, size: int) -> Iterator[Ranked]:
        """An image's candidates, at most `size` at a time.

        Raises:
            ValueError: a score of the image is not finite.
        """
        count, bits = self._numbers()[image :: self.images]
        if bits & EXPONENT == EXPONENT:
            raise ValueError("probabilities hold values that are not finite: the model diverged")
        taken, wanted, (index, ranked) = 0, self._wanted, self._first()[image]
        while taken < count:
            parts = (each[taken:].split(size) for each in (index, ranked))
            yield from zip(*parts, strict=True)
            taken, wanted = len(index), min(GROWTH * wanted, count)
            if taken < count:
                ((index, ranked),) = self._best(slice(image, image + 1), wanted, Awaited())()

    def _best(self, images: slice, count: int, awaited: Awaited) -> Callable[[], list[Ranked]]:
        """Each image's `count` best, or all above the threshold if these are fewer.

        They are numbered among the chosen in their order, and found by their numbers.
        """
        scores, chosen = self._scores[images], self._above[images]
        if count < scores.shape[1]:
            worst = scores.topk(count, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
            chosen = chosen & (scores >= worst)
        counted = chosen.cumsum(1, dtype=torch.int32)
        number = awaited.later(counted[:, -1])
        made: list[Ranked] = []

        def best() -> list[Ranked]:
            made[:] = made or _ordered(scores, counted, number(), count)
            return made

        return best


def _side_by_side(scores: Sequence[Tensor]) -> Tensor:
    """(B, N) of (P, C) of each image, with zeros behind where there are fewer rows than most."""
    if len(scores) == 1 and len(scores[0]) > 0:
        return scores[0].reshape(1, -1)
    most = max(1, *(len(own) for own in scores))
    missing = [most - len(own) for own in scores]
    filler = scores[0].new_zeros(max(missing), scores[0].shape[1])
    parts = [
        part for own, rows in zip(scores, missing, strict=True) for part in (own, filler[:rows])
    ]
    return torch.cat(parts).view(len(scores), -1)


def _ordered(scores: Tensor, counted: Tensor, numbers: list[int], count: int) -> list[Ranked]:
    """Each image's chosen ones, best first, `count` at most.

    Args:
        scores: (b, N).
        counted: (b, N) int32, how many are chosen up to each.
        numbers: of each image's chosen ones.
        count: of them.
    """
    every = torch.arange(1, max(numbers) + 1, dtype=torch.int32, device=scores.device)
    indices = torch.searchsorted(counted, every.expand(len(scores), -1).contiguous())
    if min(numbers) < max(numbers):
        indices = indices.clamp_(max=scores.shape[1] - 1)
    values = scores.gather(1, indices)
    if min(numbers) < max(numbers):
        values = values.masked_fill_(every > counted[:, -1:], -torch.inf)
    ranked, order = values.sort(dim=1, descending=True, stable=True)
    lengths = [min(number, count) for number in numbers]
    rows = zip(indices.gather(1, order), ranked, lengths, strict=True)
    return [(index[:length], own[:length]) for index, own, length in rows]
