"""The choice among variants by the validation images, and what may be expected of it.

The best of many is partly the luckiest. Therefore the images are split in two: each half chooses
for the other, and what is expected of the choice is what was found where it had not been chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    """What the others are compared with."""
    price: float | None = None
    """How much less than the reference's the most frequent group's value may be; None: any."""

    def best(self, image_ids: np.ndarray | None = None, among: Iterable[str] = ()) -> str:
        """The variant with the largest value, the first of equals, of those within the price.

        Args:
            image_ids: (n,) int64, what is judged; None takes all images.
            among: the variants to choose from; all by default. The reference is always allowed.
        """
        samples = {name: self.samples[name] for name in (among or self.samples)}
        if image_ids is not None:
            samples = {name: each.only(image_ids) for name, each in samples.items()}
        own = self.samples[self.reference]
        least = self._frequent(own if image_ids is None else own.only(image_ids))
        allowed = [
            name
            for name, each in samples.items()
            if name == self.reference
            or self.price is None
            or self._frequent(each) >= least - self.price
        ]
        return max(allowed or samples, key=lambda name: self.criterion.value(samples[name]))

    def cross_fitted(self, among: Iterable[str] = ()) -> CrossFitted:
        """What two halves of the images choose for each other.

        Args:
            among: see `best`.
        """
        among = tuple(among)
        halves = np.array_split(shuffled(self.samples[self.reference].image_ids), 2)
        first, second = (self.best(half, among) for half in halves)
        there = self.samples[first].only(halves[1])
        return CrossFitted((first, second), there.joined(self.samples[second].only(halves[0])))

    def difference(self, sample: Sample) -> tuple[float, float]:
        """How much larger than the reference's the value is, and one standard error of that."""
        own = self.samples[self.reference].only(sample.image_ids)
        change = self.criterion.value(sample) - self.criterion.value(own)
        return change, self.criterion.error(sample, own)

    def _frequent(self, sample: Sample) -> float:
        values = self.criterion.of_groups(sample)
        return values[sample.grouping.present[-1].key]


def is_tie(difference: float, error: float) -> bool:
    """Whether a difference is within two standard errors, or cannot be told."""
    return not abs(difference) > SURE * error
