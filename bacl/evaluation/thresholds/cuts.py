"""The best cut of every owner's ranking, for all owners at once.

N: judged detections. E: cuts. K: owners.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.thresholds.objectives import Objective
from bacl.evaluation.thresholds.scored import Scored


@dataclass(slots=True, frozen=True, eq=False)
class BestCuts:
    """Of K owners; those without a right detection have no cut."""

    thresholds: np.ndarray
    """(K,) float64, NaN without a cut."""
    reached: np.ndarray
    """(K,) bool: whether it has what was wished for."""


def best_cuts(
    scored: Scored, objects: np.ndarray, weights: tuple[np.ndarray, np.ndarray], by: Objective
) -> BestCuts:
    """The cut of largest utility in every owner's ranking; equal scores are never parted.

    A threshold lies half-way between the last score that is taken and the next lower one: what
    rounds otherwise elsewhere stays on its side.

    Args:
        scored: N detections of owners in [0, K).
        objects: (K,) float64, objects of each owner, weighted.
        weights: (C,) each, see `Objective.weights`.
        by: what is best.
    """
    thresholds, reached = np.full(len(objects), np.nan), np.zeros(len(objects), bool)
    ends, owners = _ends(scored)
    found, false = _taken(scored, ends, owners, weights)
    utility = by.utility(found, false, objects[owners])
    best = _first_best(utility, owners)
    who, scores = owners[best], scored.scores
    upper, lower = scores[ends[best]], scores[np.minimum(ends[best] + 1, len(scores) - 1)]
    last = _is_last(scored, ends[best])
    nothing = np.zeros(len(who))
    empty = by.utility(nothing, nothing, objects[who]) > utility[best]
    top = scores[_first(scored, who)]
    upper, lower = np.where(empty, 1.0, upper), np.where(empty, top, np.where(last, upper, lower))
    thresholds[who], reached[who] = _between(upper, lower), by.reached(utility[best])
    return BestCuts(thresholds, reached)


def _ends(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """(E,) last positions of equal scores among which one is right, and their owners."""
    hits = np.flatnonzero(scored.right)
    closes = np.flatnonzero((np.diff(scored.owners) != 0) | (np.diff(scored.scores) != 0))
    closes = np.append(closes, len(scored.scores) - 1)
    ends = np.unique(closes[np.searchsorted(closes, hits)]) if len(hits) else hits
    return ends, scored.owners[ends].astype(np.int64)


def _taken(
    scored: Scored, ends: np.ndarray, owners: np.ndarray, weights: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(E,) float64 each: what is right and what is wrong from the owner's best down to a cut."""
    before = _first(scored, owners)
    sums = []
    for weight, counts in zip(weights, (scored.right, ~scored.right), strict=True):
        total = np.append(0.0, np.cumsum(weight[scored.labels] * counts))
        sums.append(total[ends + 1] - total[before])
    return sums[0], sums[1]


def _first(scored: Scored, owners: np.ndarray) -> np.ndarray:
    """Where the detections of each of these owners begin."""
    return np.searchsorted(scored.owners, owners.astype(scored.owners.dtype))


def _first_best(utility: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Index of the first largest utility of each owner that has any."""
    if not len(utility):
        return np.zeros(0, np.int64)
    opens = np.flatnonzero(np.diff(owners, prepend=-1))
    largest = np.maximum.reduceat(utility, opens)
    reach = np.repeat(largest, np.diff(np.append(opens, len(owners))))
    hits = np.flatnonzero(utility == reach)
    return hits[np.flatnonzero(np.diff(owners[hits], prepend=-1))]


def _is_last(scored: Scored, positions: np.ndarray) -> np.ndarray:
    """Whether nothing of the same owner comes after a position."""
    following = np.minimum(positions + 1, len(scored.owners) - 1)
    return (following == positions) | (scored.owners[following] != scored.owners[positions])


def _between(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Half-way, as a number of 32 bits like the scores; where there is none between, the upper."""
    middle = ((upper + lower) / 2).astype(np.float32).astype(np.float64)
    return np.where((middle > lower) & (middle <= upper), middle, upper)
