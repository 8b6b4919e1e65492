"""Thresholds of a variant, and what is to be expected of them.

C: categories. I: images. K: groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from bacl.evaluation.bootstrap import ratios, shares, standard_error
from bacl.evaluation.groups import Grouping
from bacl.evaluation.halves import halves_of
from bacl.evaluation.thresholds.choosing import Chooser, Thresholds
from bacl.evaluation.thresholds.scored import Scored
from bacl.evaluation.truth import GroundTruth

HALF, GLOBAL = "0.5 for all", "global"
PER_GROUP, PER_CATEGORY = "per group", "per category"
"""Choices of thresholds that are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What is right, wrong and missed at thresholds; arrays of one shape, or one that fits."""

    found: np.ndarray
    """Right detections, which are objects found."""
    false: np.ndarray
    """Wrong detections."""
    objects: np.ndarray
    """All objects."""

    @property
    def precision(self) -> np.ndarray:
        """NaN without detections."""
        return shares(self.found, self.found + self.false)

    @property
    def recall(self) -> np.ndarray:
        """NaN without objects."""
        return shares(self.found, self.objects)

    @property
    def f1(self) -> np.ndarray:
        """NaN without objects and detections."""
        return shares(2 * self.found, self.found + self.false + self.objects)

    def sums(self, members: np.ndarray) -> "Outcome":
        """Of several categories together, from the (C,) of each.

        Args:
            members: (K, C) bool.
        """
        return Outcome(*(members @ each for each in (self.found, self.false, self.objects)))


@dataclass(frozen=True, eq=False)
class Fitted:
    """What thresholds find in images by which they were not chosen."""

    per_category: Outcome
    """(C,) int64."""
    per_image: Outcome
    """(I, K) float64, of the groups, in the images that were judged."""

    @classmethod
    def of(cls, scored: Scored, taken: np.ndarray, grouping: Grouping, images: np.ndarray) -> Self:
        """What is taken of all detections, beside all objects.

        Args:
            scored: N detections, and the objects.
            taken: (N,) bool.
            grouping: of the categories.
            images: bool, of all images of the truth those that were judged, I.
        """
        members = np.stack([group.members for group in grouping.groups])
        groups, size = members.argmax(0), (scored.num_images, len(members))
        pairs = [
            (scored.labels[rows], scored.images[rows])
            for rows in (taken & scored.right, taken & ~scored.right)
        ]
        pairs.append((scored.object_labels, scored.object_images))
        by_category = [np.bincount(each, minlength=scored.num_categories) for each, _ in pairs]
        cells = [images.astype(np.int64) * size[1] + groups[labels] for labels, images in pairs]
        by_image = [np.bincount(each, minlength=size[0] * size[1]) for each in cells]
        rows = [each.reshape(size)[images].astype(float) for each in by_image]
        return cls(Outcome(*by_category), Outcome(*rows))

    def of_groups(self, grouping: Grouping) -> Outcome:
        """(1 + K,): of all categories, and of each group."""
        every = np.ones((1, grouping.num_categories), bool)
        return self.per_category.sums(np.stack([*every, *(g.members for g in grouping.groups)]))

    @property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Two (I, 1 + K) float64, of all and of each group, for `bootstrap.ratios`: F1."""
        found, false, objects = (
            np.column_stack([each.sum(1), each])
            for each in (self.per_image.found, self.per_image.false, self.per_image.objects)
        )
        return 2 * found, found + false + objects


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Thresholds by all images, and four choices of thresholds, cross-fitted.

    Each half of the images is judged by what was chosen by the other half; the halves depend on the
    ids of the images alone, as those of `Choice`.
    """

    thresholds: Thresholds
    objective: str
    """What they are best for, in words."""
    grouping: Grouping
    taken: Outcome
    """(C,) at the thresholds per category, in the images by which they were chosen."""
    fitted: Mapping[str, Fitted]
    """By choice: 0.5 for all, which needs no choosing, one for all, per group, per category."""

    @property
    def fine(self) -> Fitted:
        """What thresholds per category find."""
        return self.fitted[PER_CATEGORY]

    @cached_property
    def errors(self) -> dict[str, np.ndarray]:
        """By choice (1 + K,), one standard error of each F1 by bootstrap over images; or NaN.

        All choices see the same resamples.
        """
        above, below = zip(*(each.sums for each in self.fitted.values()), strict=True)
        errors = standard_error(ratios(np.hstack(above), np.hstack(below)))
        return dict(zip(self.fitted, np.split(errors, len(self.fitted)), strict=True))

    @classmethod
    def of(cls, scored: Scored, halves: np.ndarray, chooser: Chooser) -> Self:
        """Choose by all and by halves.

        Args:
            scored: owned by their categories.
            halves: (2, I) bool, the images of each; see `halves_in`. Others were not judged.
            chooser: says what is best.
        """
        ranked = scored.ranked()
        by_half = [chooser.choose(scored.only(m), ranked.only(m)) for m in halves]
        # A detection is judged by the half that it is not of.
        judge, labels = halves[0][scored.images].astype(np.intp), scored.labels
        limits = {
            HALF: np.float64(0.5),
            GLOBAL: np.array([each.of_all for each in by_half])[judge],
            PER_GROUP: np.stack([each.per_group for each in by_half])[judge, labels],
            PER_CATEGORY: np.stack([each.per_category for each in by_half])[judge, labels],
        }
        chosen, judged = chooser.choose(scored, ranked), halves[0] | halves[1]
        found = {
            choice: Fitted.of(scored, scored.scores >= limit, chooser.grouping, judged)
            for choice, limit in {**limits, "": chosen.per_category[labels]}.items()
        }
        taken = found.pop("").per_category
        return cls(chosen, chooser.objective.title, chooser.grouping, taken, found)


def halves_in(truth: GroundTruth, image_ids: np.ndarray) -> np.ndarray:
    """(2, I) bool: which images of a truth are in each half of those that were judged."""
    return np.stack([np.isin(truth.image_ids, half) for half in halves_of(image_ids)])
