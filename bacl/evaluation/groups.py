"""The groups of categories that a benchmark reports AP of, from the tail to the head.

A metric says its groups once, as a `Grouping`; tables, captions and figures take them from there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

UNGROUPED = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""The measures of AP that are of all categories; every other one is a group's."""

MASKS = "segm/"
"""What the names of the measures of masks begin with."""


@dataclass(frozen=True, slots=True, eq=False)
class CategoryGroup:
    """Categories with about as much training data."""

    key: str
    """A short one: the AP of group "r" is the metric's "APr", and AP_r in tables."""
    name: str
    """For captions and legends."""
    members: np.ndarray
    """(C,) bool."""

    @property
    def measure(self) -> str:
        """The metric's name of the group's AP."""
        return f"AP{self.key}"


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A metric's groups, which share out the categories.

    Raises:
        ValueError: a category in no group or in several, a key twice, or one whose measure would
            have the name of another.
    """

    groups: tuple[CategoryGroup, ...]
    """From the categories with the least training data to those with the most."""
    by_instances: bool
    """Whether training instances tell the groups apart, or training images."""

    def __post_init__(self) -> None:
        memberships = np.sum([group.members for group in self.groups], axis=0)
        if (memberships != 1).any():
            raise ValueError("groups: every category must be in exactly one of them")
        measures = [group.measure for group in self.groups]
        if len({*UNGROUPED, *measures}) != len(UNGROUPED) + len(measures):
            raise ValueError(f"groups: the measures {measures} are not new names")

    @property
    def present(self) -> list[CategoryGroup]:
        """The groups that have categories."""
        return [group for group in self.groups if group.members.any()]

    @property
    def columns(self) -> dict[str, str]:
        """Title and measure of each group's AP."""
        return group_columns(group.measure for group in self.groups)

    @property
    def keys(self) -> np.ndarray:
        """(C,) str, the key of each category's group."""
        keys = np.array([group.key for group in self.groups])
        return keys[np.stack([group.members for group in self.groups]).argmax(axis=0)]

    def counts(self, image_counts: Any, instance_counts: Any) -> Any:
        """Of two counts of the training data, that which tells the groups apart."""
        return instance_counts if self.by_instances else image_counts


def group_columns(measures: Iterable[str]) -> dict[str, str]:
    """Title and name of each measure that is a group's AP, whatever metric it comes from.

    >>> group_columns(["AP", "AP50", "APs", "APr", "AP1", "AR@300", "segm/APr"])
    {'AP_r': 'APr', 'AP_1': 'AP1'}
    """
    own = (name for name in measures if name.startswith("AP") and name not in UNGROUPED)
    return {f"AP_{name[2:]}": name for name in own}


def shared_grouping(metrics: Mapping[str, Any]) -> Grouping:
    """The grouping of a stage's metrics, which are of one kind."""
    grouping: Grouping = next(iter(metrics.values())).grouping
    return grouping
