"""The numbers that a diagnosis is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bacl.evaluation.errors.category_confusion import share_called
from bacl.evaluation.errors.error_rates import ErrorRate
from bacl.evaluation.errors.object_fates import ObjectFate, ObjectFates
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.reporting.error_results import ErrorResults

FEWEST = 10
"""Categories from which on a rank correlation is told."""


@dataclass(frozen=True)
class Facts:
    """Of one head; shares are in [0, 1].

    Rare is the group with the least training data that has objects, frequent that with the most.
    """

    head: str
    rare: str
    """Names of the two groups."""
    frequent: str
    right_rare: ErrorRate
    """Of the objects of the group; with the difference to the reference, where this is another."""
    right_frequent: ErrorRate
    upwards: float
    """Share of the rare objects that are called by a category of a group with more data."""
    downwards: float
    """Share of the frequent objects that are called by one of a group with less."""
    norms: float | None
    """Rank correlation of the classifier's weight norms with the training instances."""
    norm_ratio: float
    """Mean weight norm of the frequent categories over that of the rare; NaN where not known."""
    score_rare: float
    """Mean score of the best detection over objects that are right; NaN without any."""
    score_frequent: float
    costs: Mapping[str, float]
    """What the rare categories' AP50 would gain if errors of a kind were mended."""


def facts(
    results: ErrorResults,
    head: str,
    norms: Sequence[np.ndarray],
    instances: np.ndarray,
) -> Facts | None:
    """Of a head; None where the objects are of one group alone.

    Args:
        results: of all heads.
        head: one of them.
        norms: (C,) of each of its classifiers.
        instances: (C,) of the training data.
    """
    found = results.findings[head]
    ends = _ends(results.grouping, found.objects)
    if ends is None:
        return None
    rare, frequent = ends
    rates = results.rates[head]
    parts = [kind for kind in results.mended if not kind.startswith("false")]
    return Facts(
        head,
        rare.name,
        frequent.name,
        rates[rare.key][ObjectFate.RIGHT],
        rates[frequent.key][ObjectFate.RIGHT],
        share_called(found.objects, rare.members, _beside(results.grouping, rare, 1)),
        share_called(found.objects, frequent.members, _beside(results.grouping, frequent, -1)),
        _mean_correlation(norms, instances),
        _ratio(norms, frequent.members, rare.members),
        _mean_score(found.objects, rare),
        _mean_score(found.objects, frequent),
        {kind: found.parts.cost(kind, rare.members) for kind in parts},
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of (n,) each; equals share their mean rank. NaN where one is constant.

    >>> round(rank_correlation(np.array([1, 2, 3, 4]), np.array([10, 30, 20, 90])), 3)
    0.8
    """
    one, two = (_ranks(each) for each in (first, second))
    if not len(one) or not one.any() or not two.any():
        return float("nan")
    return float(one @ two / np.sqrt((one @ one) * (two @ two)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) float64 ranks around 0."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2)[place]
    return ranks - ranks.mean() if len(ranks) else ranks


def _mean_correlation(norms: Sequence[np.ndarray], instances: np.ndarray) -> float | None:
    trained = instances > 0
    if not len(norms) or trained.sum() < FEWEST:
        return None
    own = [rank_correlation(each[trained], instances[trained]) for each in norms]
    return None if np.isnan(own).any() else float(np.mean(own))


def _ratio(norms: Sequence[np.ndarray], above: np.ndarray, below: np.ndarray) -> float:
    if not len(norms):
        return float("nan")
    return float(np.mean([each[above].mean() / each[below].mean() for each in norms]))


def _ends(grouping: Grouping, objects: ObjectFates) -> tuple[CategoryGroup, CategoryGroup] | None:
    groups = [group for group in grouping.groups if group.members[objects.labels].any()]
    return (groups[0], groups[-1]) if len(groups) > 1 else None


def _beside(grouping: Grouping, group: CategoryGroup, direction: int) -> np.ndarray:
    """(C,) bool, the categories of the groups with more data (1), or with less (-1)."""
    order = np.stack([each.members for each in grouping.groups]).argmax(axis=0)
    own = [each.key for each in grouping.groups].index(group.key)
    return (order - own) * direction > 0


def _mean_score(objects: ObjectFates, group: CategoryGroup) -> float:
    right = group.members[objects.labels] & (objects.fates == ObjectFate.RIGHT)
    return float(objects.scores[right].mean()) if right.any() else float("nan")
