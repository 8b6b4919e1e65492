"""How much more often than another head one calls objects what they are, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.bootstrap import ratios, standard_error
from bacl.evaluation.groups import Grouping
from bacl.evaluation.right_label import RightLabels

SURE = 2.0
"""Standard errors from which on a difference is told as one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two shares."""

    value: float
    """In [-1, 1]; NaN without objects."""
    error: float
    """One standard error, by bootstrap over images; NaN where it cannot be told."""

    @property
    def sure(self) -> bool:
        """Whether it is more than two standard errors. Where two heads agree in all, it is not."""
        return abs(self.value) > SURE * self.error


def label_differences(
    head: RightLabels, reference: RightLabels, grouping: Grouping
) -> dict[str | None, Difference]:
    """Of all objects (None), and of those of each group by its key.

    Both heads are resampled with the same images: what makes an image hard for both is not in the
    error.

    Args:
        head: judged by the same truth as the reference.
        reference: what is subtracted.
        grouping: the groups.

    Raises:
        ValueError: the two are not of the same objects.
    """
    if not np.array_equal(head.labels, reference.labels):
        raise ValueError("right labels of different objects cannot be compared")
    groups = [group.members for group in grouping.groups]
    members = np.stack([np.ones(grouping.num_categories, bool), *groups])
    right, objects = head.sums(members)
    before, _ = reference.sums(members)
    errors = standard_error(ratios(right, objects) - ratios(before, objects))
    total = objects.sum(0)
    change = (right.sum(0) - before.sum(0)) / np.where(total > 0, total, np.nan)
    keys = [None, *(group.key for group in grouping.groups)]
    pairs = zip(keys, change.tolist(), errors.tolist(), strict=True)
    return {key: Difference(value, error) for key, value, error in pairs}
