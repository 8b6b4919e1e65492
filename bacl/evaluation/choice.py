"""The choice among variants by the validation images, and what may be expected of it.

The best of many is partly the luckiest. Therefore the images are split in two: each half chooses
for the other, and what is expected of the choice is what was found where it had not been chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bacl.evaluation.criteria import Criterion, mean_of_all, mean_of_known
from bacl.evaluation.halves import halves_of
from bacl.evaluation.label_difference import SURE
from bacl.evaluation.sample import Sample


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What half of the images chose for the other half.

    Each half is judged by itself, and what is told is the mean: two variants' scores have no
    common scale, by which one ranking could be made of them.
    """

    of_halves: tuple[str, str]
    """Chosen by the first half and by the second."""
    samples: tuple[Sample, Sample]
    """What that found in the second half, and in the first."""
    criterion: Criterion

    @property
    def value(self) -> float:
        """Of the criterion; -1 where a half has no objects."""
        return mean_of_all(self.criterion.value(each) for each in self.samples)

    @property
    def of_groups(self) -> dict[str, float]:
        """The criterion's value of each group, of the halves with objects of it."""
        parts = [self.criterion.of_groups(each) for each in self.samples]
        return {key: mean_of_known(part[key] for part in parts) for key in parts[0]}

    @property
    def measures(self) -> dict[str, float]:
        """As `Sample.measures`."""
        first, second = (each.measures for each in self.samples)
        return {name: mean_of_known((first[name], second[name])) for name in first}


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
        return self._leading(self._values(image_ids))

    def best(self, image_ids: np.ndarray | None = None, among: Iterable[str] = ()) -> str:
        """The variant with the largest value of those within the price.

        Of equals the reference, then heads as they are, then calibrated ones, each in their order.

        Args:
            image_ids: (n,) int64, what is judged; None takes all images.
            among: the variants to choose from; all by default.
        """
        values = self._values(image_ids)
        leading = self._leading(values)
        known = [name for name in (among or values) if self._head(name) == name]
        more = [name for name in (among or values) if self._head(name) in leading]
        least = values[self.reference].frequent - (self.price or 0)
        allowed = [
            name
            for name in dict.fromkeys([self.reference, *known, *more])
            if self.price is None or values[name].frequent >= least
        ]
        return max(allowed, key=lambda name: values[name].mean)

    @property
    def halves(self) -> list[np.ndarray]:
        """Ids of the images of each."""
        return halves_of(self.samples[self.reference].image_ids)

    def cross_fitted(self, among: Iterable[str] = ()) -> CrossFitted:
        """What two halves of the images choose for each other.

        Args:
            among: see `best`.
        """
        among, halves = tuple(among), self.halves
        chosen = self.best(halves[0], among), self.best(halves[1], among)
        samples = self._of(chosen[0], halves[1]), self._of(chosen[1], halves[0])
        return CrossFitted(chosen, samples, self.criterion)

    def difference(self, fitted: CrossFitted) -> tuple[float, float]:
        """How much larger than the reference's the value is, and one standard error of that.

        NaN where a half has no objects. The halves have no image in common: their errors add up as
        those of independent numbers.
        """
        if min(self.criterion.value(each) for each in fitted.samples) < 0:
            return np.nan, np.nan
        pairs = [(each, self._of(self.reference, each.image_ids)) for each in fitted.samples]
        changes = [self.criterion.value(one) - self.criterion.value(own) for one, own in pairs]
        errors = [self.criterion.error(one, own) for one, own in pairs]
        return float(np.mean(changes)), float(np.linalg.norm(errors)) / len(errors)

    @cached_property
    def decision(self) -> "Decision":
        """What is to be taken."""
        fitted = self.cross_fitted()
        return Decision(self.best(), self.reference, fitted, *self.difference(fitted))

    def _leading(self, values: Mapping[str, "_Values"]) -> list[str]:
        heads = [name for name in values if self._head(name) == name]
        best = sorted(heads, key=lambda name: -values[name].mean)[: self.calibrated]
        return list(dict.fromkeys([self.reference, *best]))

    def _values(self, image_ids: np.ndarray | None) -> dict[str, "_Values"]:
        """Of every variant; what was told once is kept, as halves are asked about several times."""
        key = None if image_ids is None else image_ids.tobytes()
        if key not in self._told:
            self._told[key] = {
                name: _Values(self.criterion.value(own), self._frequent(own))
                for name, own in ((name, self._of(name, image_ids)) for name in self.samples)
            }
        return self._told[key]

    @cached_property
    def _told(self) -> dict[bytes | None, dict[str, "_Values"]]:
        """By the images."""
        return {}

    def _of(self, name: str, image_ids: np.ndarray | None) -> Sample:
        return self.samples[name] if image_ids is None else self.samples[name].only(image_ids)

    def _head(self, name: str) -> str:
        return name if self.heads is None else self.heads[name]

    def _frequent(self, sample: Sample) -> float:
        """The value of the group with the most training data that has objects."""
        values = self.criterion.of_groups(sample)
        known = [values[g.key] for g in sample.grouping.present if values[g.key] >= 0]
        return known[-1] if known else -1.0


@dataclass(frozen=True, slots=True)
class _Values:
    """Of a variant, in some images, by the criterion."""

    mean: float
    """What is compared."""
    frequent: float
    """Of the group with the most training data."""


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
        """Whether the change is within two standard errors, or cannot be told.

        Without any spread over images, as of a single one, nothing can.
        """
        return not (self.error > 0 and abs(self.change) > SURE * self.error)

    @property
    def chosen(self) -> str:
        """The best variant, or the reference where that is not surely better."""
        return self.best if self.change > 0 and not self.is_tie else self.reference

    @property
    def verdict(self) -> str:
        """In words."""
        if np.isnan(self.change):
            return "nothing can be told, as half of the images have no objects"
        if self.is_tie:
            return "a tie, within two standard errors"
        return "better" if self.change > 0 else "worse"
