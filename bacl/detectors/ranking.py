"""Candidates for detections in the order of their scores, without sorting all of them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bacl.detectors.transfers import EXPONENT, Awaited

GROWTH = 4
"""Factor by which the ranked part grows while too few candidates survive."""


class Ranking:
    """One image's candidates above a threshold, best first, equal ones by ascending index.

    Where more are needed a longer part is selected again: as it grows geometrically, there are
    few selections, and none sorts scores that are not asked for.

    Args:
        scores: (·,) float32.
        threshold: candidates score strictly more.
        wanted: how many are ranked at first.
        awaited: fetches how many there are; so the host waits once for all images of a batch.
    """

    def __init__(self, scores: Tensor, threshold: float, wanted: int, awaited: Awaited) -> None:
        self._scores, self._above, self._wanted = scores, scores > threshold, wanted
        bits = scores.sum().view(torch.int32)
        self._numbers = awaited.later(torch.stack((self._above.sum(), bits)))
        self._first = self._best(wanted, awaited)

    def blocks(self, size: int) -> Iterator[Tensor]:
        """Their indices (·,) int64, at most `size` at a time.

        Raises:
            ValueError: a score is not finite.
        """
        count, bits = self._numbers()
        if bits & EXPONENT == EXPONENT:
            raise ValueError("probabilities hold values that are not finite: the model diverged")
        taken, wanted, ranked = 0, self._wanted, self._first()
        while taken < count:
            yield from ranked[taken:].split(size)
            taken, wanted = len(ranked), min(GROWTH * wanted, count)
            if taken < count:
                ranked = self._best(wanted, Awaited())()

    def _best(self, count: int, awaited: Awaited) -> Callable[[], Tensor]:
        """Indices of the `count` best, or of all above the threshold where there are fewer."""
        scores = self._scores
        chosen = self._above
        if count < len(scores):
            chosen = chosen & (scores >= scores.topk(count, sorted=False).values.amin())
        counted = chosen.cumsum(0, dtype=torch.int32)
        number = awaited.later(counted[-1:])

        def best() -> Tensor:
            numbers = torch.arange(1, sum(number()) + 1, dtype=torch.int32, device=scores.device)
            indices = torch.searchsorted(counted, numbers)
            return indices[scores[indices].argsort(descending=True, stable=True)[:count]]

        return best
