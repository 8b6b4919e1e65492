"""What a choice among variants goes by: one number for a sample, and how sure a difference is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from bacl.evaluation.bootstrap import ratios, standard_error
from bacl.evaluation.groups import Grouping
from bacl.evaluation.halves import shuffled
from bacl.evaluation.sample import Sample
from bacl.messages.errors import OptionError
from bacl.options.ranges import Text

PARTS = 20
"""Of the images, each of which is left out once."""


class Criterion(ABC):
    """Larger is better; all numbers are in [0, 1]."""

    title: str
    """In tables, with "groups" where it is the mean of the groups' values."""

    @abstractmethod
    def of_groups(self, sample: Sample) -> dict[str, float]:
        """The value of each group of categories by its key, -1 without objects."""

    @abstractmethod
    def value(self, sample: Sample) -> float:
        """What is compared."""

    @abstractmethod
    def error(self, sample: Sample, other: Sample) -> float:
        """One standard error of the difference of the values of two variants on equal images."""


class RightLabelShare(Criterion):
    """The mean over the groups of the share of objects that have their right label.

    It compares categories with each other, which AP does not: see `right_labels`. Its error is by
    bootstrap over images, the same resamples for both variants.
    """

    title = "right label, mean of groups"

    def of_groups(self, sample: Sample) -> dict[str, float]:
        """See `Criterion`."""
        return sample.right_labels.of_groups(sample.grouping)

    def value(self, sample: Sample) -> float:
        """See `Criterion`."""
        return mean_of_known(self.of_groups(sample).values())

    def error(self, sample: Sample, other: Sample) -> float:
        """See `Criterion`."""
        mine, theirs = (self._resampled(each) for each in (sample, other))
        return float(standard_error((mine - theirs)[:, None])[0])

    @staticmethod
    def _resampled(sample: Sample) -> np.ndarray:
        """(B,) float64: the value in every resample; groups without objects there do not count."""
        members = np.stack([group.members for group in sample.grouping.groups])
        shares = ratios(*sample.right_labels.sums(members))
        known = ~np.isnan(shares)
        return np.where(known, shares, 0).sum(1) / np.maximum(known.sum(1), 1)


class MeasureOf(Criterion):
    """A measure of boxes in results.json, such as AP or APr, or the mean of its groups' values.

    Its error is a jackknife: each of 20 parts of the images is left out once (Efron, "The
    Jackknife, the Bootstrap and Other Resampling Plans", 1982, Sec. 3).

    Args:
        measure: its name.
        mean_of_groups: whether the groups' values are compared, each as heavy as the others.
    """

    def __init__(self, measure: Text = "AP", mean_of_groups: bool = False) -> None:
        self.measure, self.mean_of_groups = measure, mean_of_groups
        self.title = f"{measure}, mean of groups" if mean_of_groups else measure

    def of_groups(self, sample: Sample) -> dict[str, float]:
        """See `Criterion`; of a measure that groups do not have, AP's."""
        names = self._names(sample) or names_of_groups("AP", sample.grouping)
        return {key: sample.measures[name] for key, name in names.items()}

    def value(self, sample: Sample) -> float:
        """See `Criterion`.

        Raises:
            OptionError: there is no such measure, or groups do not have it.
        """
        if self.measure not in sample.measures:
            known = ", ".join(sample.measures)
            raise OptionError(
                f"choice.criterion.measure={self.measure}: measures of boxes are {known}; the same "
                "command with one of them chooses without another training"
            )
        if not self.mean_of_groups:
            return sample.measures[self.measure]
        if not self._names(sample):
            raise OptionError(
                f"choice.criterion.mean_of_groups=true: groups have no {self.measure}; take AP or "
                "right_label, or mean_of_groups=false"
            )
        return mean_of_known(self.of_groups(sample).values())

    def _names(self, sample: Sample) -> dict[str, str]:
        """The groups' names of the measure; empty where they have none."""
        names = names_of_groups(self.measure, sample.grouping)
        return names if set(names.values()) <= set(sample.measures) else {}

    def error(self, sample: Sample, other: Sample) -> float:
        """See `Criterion`."""
        parts = np.array_split(shuffled(sample.image_ids), min(PARTS, len(sample.image_ids)))
        without = [np.setdiff1d(sample.image_ids, part) for part in parts]
        changes = np.array(
            [self.value(sample.only(i)) - self.value(other.only(i)) for i in without]
        )
        squares = ((changes - changes.mean()) ** 2).sum()
        return float(np.sqrt(squares * (len(parts) - 1) / len(parts)))


def names_of_groups(measure: str, grouping: Grouping) -> dict[str, str]:
    """What a measure is called of each group, by the group's key."""
    between = "" if measure == "AP" else "_"
    return {group.key: f"{measure}{between}{group.key}" for group in grouping.groups}


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of what is not -1; -1 without any."""
    known = [value for value in values if value >= 0]
    return float(np.mean(known)) if known else -1.0


def mean_of_all(values: Iterable[float]) -> float:
    """The mean; -1 where one of them is."""
    found = list(values)
    return -1.0 if min(found) < 0 else float(np.mean(found))
