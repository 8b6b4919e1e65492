"""F1 in use, as what a choice among variants goes by."""

from weakref import WeakKeyDictionary

import numpy as np

from bacl.evaluation.bootstrap import ratios, standard_error
from bacl.evaluation.criteria import Criterion, mean_of_known
from bacl.evaluation.sample import Sample
from bacl.evaluation.thresholds.choosing import Chooser
from bacl.evaluation.thresholds.objectives import Objective
from bacl.evaluation.thresholds.operating_points import Fitted, OperatingPoints, halves_in


class F1AtThresholds(Criterion):
    """The mean over the groups of F1 at thresholds per category, cross-fitted.

    The thresholds are those that a checkpoint is handed on with: best for the same objective. It
    sees what a variant can be had for once every category has its threshold: scores that are
    too low for rare categories cost nothing, detections that cannot be told apart do. Thresholds
    are chosen within the sample, each half of its images for the other, and F1 of a group is of all
    its detections and objects together, see `OperatingPoints`. Its error is by bootstrap over
    images, the same resamples for both variants.

    Args:
        objective: what thresholds are best for.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.title = f"F1 at thresholds per category ({objective.title}), mean of groups"
        self._known: WeakKeyDictionary[Sample, Fitted] = WeakKeyDictionary()

    def of_groups(self, sample: Sample) -> dict[str, float]:
        """See `Criterion`."""
        found = self._fitted(sample).of_groups(sample.grouping)
        known = np.where(found.objects > 0, found.f1, -1.0)[1:].tolist()
        return {group.key: each for group, each in zip(sample.grouping.groups, known, strict=True)}

    def value(self, sample: Sample) -> float:
        """See `Criterion`."""
        return mean_of_known(self.of_groups(sample).values())

    def error(self, sample: Sample, other: Sample) -> float:
        """See `Criterion`."""
        mine, theirs = (self._resampled(each) for each in (sample, other))
        return float(standard_error((mine - theirs)[:, None])[0])

    def _resampled(self, sample: Sample) -> np.ndarray:
        """(B,) float64: the value in every resample; groups of which it has nothing do not count.

        NaN where it has nothing of any group.
        """
        found = ratios(*self._fitted(sample).sums)[:, 1:]
        present = [group.members[sample.truth.labels].any() for group in sample.grouping.groups]
        own = found[:, np.array(present, bool)]
        known = ~np.isnan(own)
        total = np.where(known, own, 0).sum(1)
        return np.divide(total, known.sum(1), out=np.full(len(own), np.nan), where=known.any(1))

    def _fitted(self, sample: Sample) -> Fitted:
        if sample not in self._known:
            chooser = Chooser(self._objective, sample.grouping, sample.names)
            halves = halves_in(sample.truth, sample.image_ids)
            self._known[sample] = OperatingPoints.of(sample.scored(), halves, chooser).fine
        return self._known[sample]
