"""Thresholds for every category, for groups and for all, chosen by what was found in images.

C: categories. K: groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bacl.evaluation.groups import Grouping
from bacl.evaluation.thresholds.cuts import BestCuts, best_cuts
from bacl.evaluation.thresholds.objectives import Objective
from bacl.evaluation.thresholds.scored import Scored

WITHOUT_ANY = 0.5
"""The threshold of all where nothing was found, by which one could be chosen."""


class Flag(IntEnum):
    """What is to be said of a category's threshold; of several, the first."""

    OWN = 0
    NOT_REACHED = 1
    FEW_OBJECTS = 2
    NONE_JUDGED = 3
    NONE_RIGHT = 4

    @property
    def words(self) -> str:
        """For tables; nothing where it is its own."""
        return _WORDS[self]


_WORDS = {
    Flag.OWN: "",
    Flag.NOT_REACHED: "wish not reached",
    Flag.FEW_OBJECTS: "too few objects",
    Flag.NONE_JUDGED: "no judged detection",
    Flag.NONE_RIGHT: "no right detection",
}


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """A detection is taken whose score is at least its category's threshold."""

    per_category: np.ndarray
    """(C,) float64 in [0, 1]; of a category that cannot be decided its group's, or that of all."""
    of_all: float
    """One for all categories, chosen by all detections together."""
    per_group: np.ndarray
    """(C,) float64, that of the category's group; where it cannot be decided, that of all."""
    flags: np.ndarray
    """(C,) int64, of `Flag`."""
    in_decided_group: np.ndarray
    """(C,) bool."""

    @property
    def own(self) -> np.ndarray:
        """(C,) bool: which categories have one of their own."""
        return self.flags <= Flag.NOT_REACHED


@dataclass(frozen=True, slots=True, eq=False)
class Chooser:
    """Chooses by an objective."""

    objective: Objective
    grouping: Grouping
    names: Sequence[str] = ()
    """Of the categories, by label, where the objective has options by their names."""

    def choose(self, scored: Scored, ranked: Scored) -> Thresholds:
        """The best thresholds of these detections and objects.

        Args:
            scored: owned by their categories.
            ranked: the same, ranked together.
        """
        weights = self.objective.weights(self.grouping, self.names)
        members = np.stack([group.members for group in self.grouping.groups])
        groups = members.argmax(0).astype(np.min_scalar_type(len(members)))
        objects = scored.objects(weights[0])
        of_groups = np.bincount(groups, objects, minlength=len(members))
        own = best_cuts(scored, objects, weights, self.objective)
        group = best_cuts(ranked.owned_by(groups), of_groups, weights, self.objective)
        of_all = best_cuts(ranked, objects.sum(keepdims=True), weights, self.objective)
        everything = float(np.nan_to_num(of_all.thresholds[0], nan=WITHOUT_ANY))
        decided = ~np.isnan(group.thresholds)[groups]
        per_group = np.where(decided, group.thresholds[groups], everything)
        flags = self._flags(scored, own)
        chosen = np.where(flags <= Flag.NOT_REACHED, own.thresholds, per_group)
        return Thresholds(chosen, everything, per_group, flags, decided)

    def _flags(self, scored: Scored, own: BestCuts) -> np.ndarray:
        objects = np.bincount(scored.object_labels, minlength=scored.num_categories)
        judged = np.bincount(scored.labels, minlength=scored.num_categories)
        told = [
            (objects < self.objective.least_objects, Flag.FEW_OBJECTS),
            (judged == 0, Flag.NONE_JUDGED),
            (np.isnan(own.thresholds), Flag.NONE_RIGHT),
            (~own.reached, Flag.NOT_REACHED),
        ]
        return np.select([where for where, _ in told], [flag for _, flag in told], Flag.OWN)
