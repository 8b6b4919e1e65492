"""Curves over a shift beside each other: which one lies higher, and by how much.

S: shifts. B: resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bacl.evaluation.bootstrap import ratios, standard_error
from bacl.evaluation.label_difference import Difference
from bacl.evaluation.shift_curve import ShiftCurve


@dataclass(frozen=True, slots=True)
class Front:
    """The most that is reached of the rare, for a share of the frequent that is kept.

    What can be had at x is the best of all shifts that keep at least x, and between two of them
    what lies on the straight line, which a coin for each image would give.
    """

    x: np.ndarray
    """(n,) share of the group with the most training data, ascending."""
    y: np.ndarray
    """(n,) share of that with the least, descending."""

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Front":
        """Of the points (S,) of a curve, in any order."""
        order = np.argsort(x, kind="stable")
        best = np.maximum.accumulate(y[order][::-1])[::-1]
        distinct, first = np.unique(x[order], return_index=True)
        return cls(distinct, best[first])

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """What is reached; NaN beyond the last point."""
        return np.interp(x, self.x, self.y, right=np.nan)

    def area(self, low: float, high: float) -> float:
        """Mean height between two shares, which is the area over its width; NaN without width."""
        if not low < high:
            return np.nan
        inner = self.x[(self.x > low) & (self.x < high)]
        x = np.concatenate([[low], inner, [high]])
        y = self.at(x)
        return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (high - low))


@dataclass(frozen=True, slots=True)
class Gain:
    """Of a head over another one at the same price."""

    at: float
    """The highest share of the group with the most data that both reach, each by the shift that is
    best for it: where the two curves are compared."""
    share: float
    """Of the group with the least data, there."""
    reference: float
    """The same of the reference, shifted to there."""
    difference: Difference


def front(curve: ShiftCurve) -> Front:
    """Of a curve.

    Raises:
        ValueError: its data have objects of one group alone.
    """
    if curve.ends is None:
        raise ValueError("objects of one group alone make no curve")
    tail, most = curve.ends
    return Front.of(curve.shares(most), curve.shares(tail))


def areas(fronts: Mapping[str, Front]) -> dict[str, float]:
    """Mean height of each between the lowest and the highest share that all of them reach.

    In [0, 1]; NaN where there is no such stretch. Areas are of the heads that are compared: beside
    another head the stretch is another one.
    """
    low = max(each.x[0] for each in fronts.values())
    high = min(each.x[-1] for each in fronts.values())
    return {name: each.area(low, high) for name, each in fronts.items()}


def gain(head: ShiftCurve, reference: ShiftCurve) -> Gain:
    """Compare two heads; the standard error is by bootstrap over images, both on the same ones."""
    own, other = front(head), front(reference)
    at, share, before = _compared(own, other)
    resampled = [_resampled(curve) for curve in (head, reference)]
    differences = []
    for one, two in zip(*resampled, strict=True):
        if not (np.isnan(one).any() or np.isnan(two).any()):
            _, high, low = _compared(Front.of(*one), Front.of(*two))
            differences.append(high - low)
    error = standard_error(np.array(differences).reshape(-1, 1))[0]
    return Gain(at, share, before, Difference(share - before, float(error)))


def _compared(one: Front, other: Front) -> tuple[float, float, float]:
    at = float(min(one.x[-1], other.x[-1]))
    return at, float(one.at(at)), float(other.at(at))


def _resampled(curve: ShiftCurve) -> np.ndarray:
    """(B, 2, S) shares of the group with the most data and of that with the least."""
    assert curve.ends is not None
    members = np.stack([group.members for group in reversed(curve.ends)])
    right = [each.sums(members) for each in curve.right_labels]
    above = np.concatenate([own for own, _ in right], axis=1)
    below = np.concatenate([objects for _, objects in right], axis=1)
    found = ratios(above, below)
    return found.reshape(len(found), len(right), 2).transpose(0, 2, 1)
