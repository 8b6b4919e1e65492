"""Whether scores are probabilities: of detections with about one score, how many are right.

Judged are detections that are right or wrong at an IoU of 0.5. They are parted by score into 15
bins of about as many detections each; the expected calibration error (Naeini et al., "Obtaining
Well Calibrated Probabilities Using Bayesian Binning", 2015; bins of equal mass as by Nguyen and
O'Connor, 2015) is the mean distance between a bin's mean score and its share of right detections,
bins weighted by their detections. Equal scores lie in one bin.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.groups import Grouping
from bacl.evaluation.thresholds.scored import Scored

BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """B bins, by ascending score; none without detections."""

    scores: np.ndarray
    """(B,) float64, mean in each bin."""
    right: np.ndarray
    """(B,) float64 in [0, 1], the share of right detections in each."""
    counts: np.ndarray
    """(B,) int64, detections in each."""

    @classmethod
    def of(cls, scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> "Reliability":
        """Of detections.

        Args:
            scores: (N,) in [0, 1], ascending.
            right: (N,) bool.
            bins: at most so many; fewer where scores are equal.
        """
        wanted = np.arange(bins) * len(scores) // bins
        opens = np.unique(np.searchsorted(scores, scores[wanted])) if len(scores) else wanted[:0]
        counts = np.diff(np.append(opens, len(scores)))
        sums = [np.add.reduceat(each, opens) if len(opens) else np.zeros(0) for each in (
            scores, right.astype(np.float64)
        )]  # fmt: skip
        return cls(sums[0] / counts, sums[1] / counts, counts)

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]; -1 without detections."""
        if not len(self.counts):
            return -1.0
        return float(np.average(np.abs(self.scores - self.right), weights=self.counts))

    @property
    def excess(self) -> float:
        """Mean score less the share of right ones: above 0 of too high scores; 0 without any."""
        if not len(self.counts):
            return 0.0
        return float(np.average(self.scores - self.right, weights=self.counts))


def reliabilities(scored: Scored, grouping: Grouping) -> dict[str, Reliability]:
    """Of all categories ("all"), and of each group by its key."""
    order = np.argsort(scored.scores, kind="stable")
    scores, right, labels = scored.scores[order], scored.right[order], scored.labels[order]
    found = {"all": Reliability.of(scores, right)}
    for group in grouping.groups:
        own = group.members[labels]
        found[group.key] = Reliability.of(scores[own], right[own])
    return found
