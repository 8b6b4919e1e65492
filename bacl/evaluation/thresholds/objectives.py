"""What a threshold is good for: an objective says which of two cuts of a ranking is better.

E: cuts. C: categories.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from bacl.evaluation.groups import Grouping
from bacl.messages.errors import OptionError
from bacl.messages.shown import shown
from bacl.options.ranges import Count, NotNegative, PositiveShare

_SLACK = 1e-12


class Objective(ABC):
    """Larger utility is better; of equal ones the highest threshold is taken.

    Utility never falls with objects found, nor rises with false detections. So it is largest, if
    anywhere, right below a detection that is right, and only these cuts are looked at.

    Args:
        least_objects: a category with fewer of them, or with no right detection, has no threshold
            of its own.
    """

    def __init__(self, least_objects: Count = 3) -> None:
        self.least_objects = least_objects

    title: str
    """In words, for tables."""

    @abstractmethod
    def utility(self, found: np.ndarray, false: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """(E,) float64 of cuts.

        Args:
            found: (E,) float64, objects found, weighted.
            false: (E,) float64, false detections, weighted.
            objects: (E,) float64, all objects, weighted; above 0.
        """

    def weights(self, grouping: Grouping, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(C,) each: how much an object and a false detection of a category weigh.

        Args:
            grouping: of the categories.
            names: theirs, by label.

        Raises:
            OptionError: an option names a group or a category that there is not.
        """
        return np.ones(grouping.num_categories), np.ones(grouping.num_categories)

    def reached(self, utility: np.ndarray) -> np.ndarray:
        """Whether what was wished for is reached, for each (E,) utility."""
        return np.ones(len(utility), bool)


class BestF1(Objective):
    """The harmonic mean of precision and recall."""

    title = "best F1"

    def utility(self, found: np.ndarray, false: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """See `Objective`."""
        return 2 * found / (found + false + objects)


class _Wished(Objective):
    """A share that has to be reached, and then as much as possible of another one.

    Where it cannot be reached, the most that can be. Utility is the share below, and above it 1
    more than the other.

    Args:
        wished: share.
        least_objects: see `Objective`.
    """

    def __init__(self, wished: PositiveShare, least_objects: Count = 3) -> None:
        super().__init__(least_objects)
        self.wished = wished

    def reached(self, utility: np.ndarray) -> np.ndarray:
        """See `Objective`."""
        return utility >= 1

    def _utility(self, share: np.ndarray, other: np.ndarray) -> np.ndarray:
        # 9 in 10 reach 0.9, however that rounds; what does not reach stays below 1.
        return np.where(share >= self.wished - _SLACK, 1 + other, share)


class WishedPrecision(_Wished):
    """The largest recall at this precision."""

    @property
    def title(self) -> str:  # type: ignore[override]
        """In words."""
        return f"precision of at least {self.wished:g}"

    def utility(self, found: np.ndarray, false: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """See `Objective`."""
        return self._utility(_precision(found, false), found / objects)


class WishedRecall(_Wished):
    """The largest precision at this recall."""

    @property
    def title(self) -> str:  # type: ignore[override]
        """In words."""
        return f"recall of at least {self.wished:g}"

    def utility(self, found: np.ndarray, false: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """See `Objective`."""
        return self._utility(found / objects, _precision(found, false))


class Costs(TypedDict, total=False):
    """Of a group or of a category; what is not said is as of all."""

    miss: NotNegative
    false_detection: NotNegative


NO_OTHERS: Mapping[str, Costs] = MappingProxyType({})


class LowestCost(Objective):
    """The lowest sum of the costs of objects missed and of false detections.

    Where no detection is worth its risk, the threshold lies above all of them.

    Args:
        miss: cost of a missed object.
        false_detection: cost of a false detection.
        of_groups: other costs, by the keys of groups, such as r.
        of_categories: other costs, by the names of categories; before those of their groups.
        least_objects: see `Objective`.
    """

    title = "lowest cost"

    def __init__(
        self,
        miss: NotNegative = 1.0,
        false_detection: NotNegative = 1.0,
        of_groups: Mapping[str, Costs] = NO_OTHERS,
        of_categories: Mapping[str, Costs] = NO_OTHERS,
        least_objects: Count = 3,
    ) -> None:
        super().__init__(least_objects)
        self.miss, self.false_detection = miss, false_detection
        self.of_groups, self.of_categories = dict(of_groups), dict(of_categories)

    def utility(self, found: np.ndarray, false: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """See `Objective`; the negative cost, with objects weighted by what missing them costs."""
        return found - objects - false

    def weights(self, grouping: Grouping, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Objective`."""
        groups = {group.key: np.flatnonzero(group.members) for group in grouping.groups}
        categories = {name: np.array([label]) for label, name in enumerate(names)}
        miss = np.full(grouping.num_categories, float(self.miss))
        false = np.full(grouping.num_categories, float(self.false_detection))
        for option, known in (("of_groups", groups), ("of_categories", categories)):
            for name, costs in getattr(self, option).items():
                labels = _known(option, str(name), known)
                miss[labels] = costs.get("miss", miss[labels])
                false[labels] = costs.get("false_detection", false[labels])
        return miss, false


def _known(option: str, name: str, known: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in known:
        some = ", ".join(shown(each) for each in list(known)[:10])
        raise OptionError(f"thresholds.{option}.{shown(name)}: there is none; there are {some}")
    return known[name]


def _precision(found: np.ndarray, false: np.ndarray) -> np.ndarray:
    """0 without detections."""
    taken = found + false
    return np.divide(found, taken, out=np.zeros_like(taken), where=taken > 0)
