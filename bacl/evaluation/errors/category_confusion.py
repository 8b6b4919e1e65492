"""Which categories objects are called by: the confusion matrix, as the few cells that are not 0.

G: objects that count. C: categories. E: cells.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.errors.object_fates import NONE, ObjectFates

UNJUDGED = -2
"""In place of a label: a category of which nobody can say whether it is there."""


@dataclass(slots=True, frozen=True, eq=False)
class Confusion:
    """Of the objects of each category, what the best detection over them calls them.

    The best detection is that of the highest score with an IoU of at least 0.5, of any category.
    Where it cannot be judged in its image the object counts as `UNJUDGED`, and not in favour of the
    next one, as for its fate: so the diagonal is the right label's only where all is annotated.
    """

    annotated: np.ndarray
    """(E,) int64 in [0, C), ascending."""
    detected: np.ndarray
    """(E,) int64 in [0, C), or `UNJUDGED`, or `NONE`: no detection; of one category ascending."""
    counts: np.ndarray
    """(E,) int64, at least 1."""
    shares: np.ndarray
    """(E,) float64 in (0, 1], of the objects of the annotated category."""

    @property
    def mistaken(self) -> np.ndarray:
        """(E,) bool: another category was detected."""
        return (self.detected >= 0) & (self.detected != self.annotated)

    def most_confused(self, number: int) -> np.ndarray:
        """At most so many cells of mistaken categories: most objects first, then largest share."""
        cells = np.flatnonzero(self.mistaken)
        return cells[np.lexsort((-self.shares[cells], -self.counts[cells]))][:number]

    def matrix(self, categories: np.ndarray) -> np.ndarray:
        """(n, n) float64 shares of the objects of some categories, (n,) ascending labels."""
        place = np.full(max(self._highest, int(categories.max(initial=-1))) + 1, -1)
        place[categories] = np.arange(len(categories))
        cells = self.detected >= 0
        row, column = place[self.annotated[cells]], place[self.detected[cells]]
        inside = (row >= 0) & (column >= 0)
        found = np.zeros((len(categories), len(categories)))
        found[row[inside], column[inside]] = self.shares[cells][inside]
        return found

    @property
    def _highest(self) -> int:
        return int(max(self.annotated.max(initial=-1), self.detected.max(initial=-1)))


def confusion(objects: ObjectFates, num_categories: int) -> Confusion:
    """Count the objects by what they are and what they are called."""
    called = np.where(objects.unjudged, UNJUDGED, objects.found)
    width = num_categories - UNJUDGED
    cells, counts = np.unique(objects.labels * width + called - UNJUDGED, return_counts=True)
    annotated, detected = np.divmod(cells, width)
    of_category = np.bincount(objects.labels, minlength=num_categories)
    return Confusion(annotated, detected + UNJUDGED, counts, counts / of_category[annotated])


def share_called(objects: ObjectFates, owners: np.ndarray, called: np.ndarray) -> float:
    """Share of the objects of some categories, (C,) bool, that are called by one of some others.

    In [0, 1]; NaN without objects.
    """
    own = owners[objects.labels]
    found = objects.found[own]
    mistaken = (found != NONE) & (found != objects.labels[own])
    return float((mistaken & called[found]).mean()) if len(found) else float("nan")
