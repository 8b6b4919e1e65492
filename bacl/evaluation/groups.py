"""The groups of categories that a benchmark reports AP of, from the tail to the head.

A metric says its groups once, as a `Grouping`; tables, captions and figures take them from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bacl.evaluation.measures import Measure


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
    def measure(self) -> Measure:
        """The group's AP."""
        return Measure(f"AP{self.key}", f"AP_{self.key}", "main", self.key)


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A metric's groups, which share out the categories.

    Raises:
        ValueError: a category in no group or in several.
    """

    groups: tuple[CategoryGroup, ...]
    """From the categories with the least training data to those with the most."""
    by_instances: bool
    """Whether training instances tell the groups apart, or training images."""

    def __post_init__(self) -> None:
        memberships = np.sum([group.members for group in self.groups], axis=0)
        if (memberships != 1).any():
            raise ValueError("groups: every category must be in exactly one of them")

    @property
    def num_categories(self) -> int:
        """C."""
        return len(self.groups[0].members)

    @property
    def present(self) -> list[CategoryGroup]:
        """The groups that have categories."""
        return [group for group in self.groups if group.members.any()]

    @property
    def keys(self) -> np.ndarray:
        """(C,) str, the key of each category's group."""
        keys = np.array([group.key for group in self.groups])
        return keys[np.stack([group.members for group in self.groups]).argmax(axis=0)]

    def counts(self, image_counts: Any, instance_counts: Any) -> Any:
        """Of two counts of the training data, that which tells the groups apart."""
        return instance_counts if self.by_instances else image_counts


def shared_grouping(metrics: Mapping[str, Any]) -> Grouping:
    """The grouping of a stage's metrics, which are of one kind."""
    grouping: Grouping = next(iter(metrics.values())).grouping
    return grouping
