"""The choice among variants by the validation images, and what may be expected of it.

The best of many is partly the luckiest. Therefore the images are split in two: each half chooses
for the other, and what is expected of the choice is what was found where it had not been chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bacl.evaluation.criteria import Criterion, shuffled
from bacl.evaluation.label_difference import SURE
from bacl.evaluation.sample import Sample


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What half of the images chose for the other half, on all images."""

    of_halves: tuple[str, str]
    """Chosen by the first half and by the second."""
    sample: Sample
    """Of each image what the other half's choice found in it."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Of one variant, on the images of all."""

    samples: Mapping[str, Sample]
    """By variant; all of the same images."""
    criterion: Criterion
    reference: str
    """A head, which the others are compared with."""
    price: float | None = None
    """How much less than the reference's the most frequent group's value may be; None: any."""
    heads: Mapping[str, str] | None = None
    """The head of each variant; None where every variant is one. The others are calibrated ones."""
    calibrated: int = 0
    """Calibrated ones of so many heads, the best, and of the reference can be chosen."""

    def leading(self, image_ids: np.ndarray | None = None) -> list[str]:
        """The reference, and the heads whose calibrated variants can be chosen by these images.

        Args:
            image_ids: (n,) int64, what is judged; None takes all images.
        """
        own = {n: self._of(n, image_ids) for n in self.samples if self._head(n) == n}
        values = {name: self.criterion.value(each) for name, each in own.items()}
        best = sorted(values, key=lambda name: -values[name])[: self.calibrated]
        return list(dict.fromkeys([self.reference, *best]))

    def best(self, image_ids: np.ndarray | None = None, among: Iterable[str] = ()) -> str:
        """The variant with the largest value, the first of equals, of those within the price.

        Args:
            image_ids: (n,) int64, what is judged; None takes all images.
            among: the variants to choose from; all by default.
        """
        leading = self.leading(image_ids)
        names = [
            name
            for name in (among or self.samples)
            if self._head(name) == name or self._head(name) in leading
        ]
        samples = {name: self._of(name, image_ids) for name in names}
        least = self._frequent(self._of(self.reference, image_ids))
        allowed = [
            name
            for name, each in samples.items()
            if name == self.reference
            or self.price is None
            or self._frequent(each) >= least - self.price
        ]
        return max(allowed or names, key=lambda name: self.criterion.value(samples[name]))

    @property
    def halves(self) -> list[np.ndarray]:
        """Ids of the images of each."""
        return np.array_split(shuffled(self.samples[self.reference].image_ids), 2)

    def cross_fitted(self, among: Iterable[str] = ()) -> CrossFitted:
        """What two halves of the images choose for each other.

        Args:
            among: see `best`.
        """
        among, halves = tuple(among), self.halves
        first, second = (self.best(half, among) for half in halves)
        there = self._of(first, halves[1])
        return CrossFitted((first, second), there.joined(self._of(second, halves[0])))

    def difference(self, sample: Sample) -> tuple[float, float]:
        """How much larger than the reference's the value is, and one standard error of that."""
        own = self._of(self.reference, sample.image_ids)
        change = self.criterion.value(sample) - self.criterion.value(own)
        return change, self.criterion.error(sample, own)

    @cached_property
    def decision(self) -> "Decision":
        """What is to be taken."""
        fitted = self.cross_fitted()
        return Decision(self.best(), self.reference, fitted, *self.difference(fitted.sample))

    def _of(self, name: str, image_ids: np.ndarray | None) -> Sample:
        return self.samples[name] if image_ids is None else self.samples[name].only(image_ids)

    def _head(self, name: str) -> str:
        return name if self.heads is None else self.heads[name]

    def _frequent(self, sample: Sample) -> float:
        """The value of the group with the most training data that has objects."""
        values = self.criterion.of_groups(sample)
        known = [values[g.key] for g in sample.grouping.present if values[g.key] >= 0]
        return known[-1] if known else -1.0


@dataclass(frozen=True, eq=False)
class Decision:
    """The best variant where what is expected of choosing is surely better than the reference."""

    best: str
    """By all images."""
    reference: str
    fitted: CrossFitted
    change: float
    """What is expected, less the reference's value."""
    error: float
    """One standard error of that."""

    @property
    def is_tie(self) -> bool:
        """Whether the change is within two standard errors, or cannot be told."""
        return not abs(self.change) > SURE * self.error

    @property
    def chosen(self) -> str:
        """The best variant, or the reference where that is not surely better."""
        return self.best if self.change > 0 and not self.is_tie else self.reference

    @property
    def verdict(self) -> str:
        """In words."""
        if self.is_tie:
            return "a tie, within two standard errors"
        return "better" if self.change > 0 else "worse"
