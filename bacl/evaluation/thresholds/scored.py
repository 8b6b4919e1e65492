"""Judged detections with their scores, and the objects: all that a threshold is chosen by.

N: judged detections. G: objects that count. C: categories. I: images.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

_FIRST = np.uint64(1)
"""Bit of all areas at an IoU of 0.5."""


@dataclass(slots=True, frozen=True, eq=False)
class Scored:
    """Detections that are right or wrong at an IoU of 0.5, by owner, best first.

    What is neither is not here: it found an ignored object, or nobody can say (federated rules).
    """

    owners: np.ndarray
    """(N,) ascending; whose threshold decides: a category, a group, or all together."""
    labels: np.ndarray
    """(N,) in [0, C)."""
    scores: np.ndarray
    """(N,) float64."""
    right: np.ndarray
    """(N,) bool."""
    images: np.ndarray
    """(N,) int32 in [0, I)."""
    object_labels: np.ndarray
    """(G,) int64 in [0, C)."""
    object_images: np.ndarray
    """(G,) int64 in [0, I)."""
    num_images: int
    """I, of the truth: those that were not judged have neither detections nor objects."""
    num_categories: int
    """C."""

    @classmethod
    def of(cls, verdicts: Verdicts, truth: GroundTruth) -> Self:
        """Each category owns its detections."""
        right = (verdicts.right & _FIRST).astype(bool)
        judged = np.flatnonzero(right | (verdicts.wrong & _FIRST).astype(bool))
        labels = verdicts.labels[judged]
        images, objects = np.divmod(truth.keys[~truth.ignored], truth.num_categories)
        return cls(
            labels,
            labels,
            verdicts.scores[judged],
            right[judged],
            verdicts.images[judged].astype(np.int32),
            objects,
            images,
            len(truth.image_ids),
            truth.num_categories,
        )

    def only(self, images: np.ndarray) -> Self:
        """The detections and objects of some images, an (I,) bool mask."""
        kept, objects = np.flatnonzero(images[self.images]), images[self.object_images]
        of_detections = ("owners", "labels", "scores", "right", "images")
        return replace(
            self,
            **{name: getattr(self, name)[kept] for name in of_detections},
            object_labels=self.object_labels[objects],
            object_images=self.object_images[objects],
        )

    def ranked(self) -> Self:
        """All together, with a single owner 0; among equals by category."""
        order = np.argsort(-self.scores, kind="stable")
        return self._reordered(order, np.zeros(len(order), np.uint8))

    def owned_by(self, groups: np.ndarray) -> Self:
        """The same by groups, of detections that are ranked.

        Args:
            groups: (C,), the group of each category, in as few bits as hold it.
        """
        owners = groups[self.labels]
        order = np.argsort(owners, kind="stable")  # of few bits a radix sort
        return self._reordered(order, owners[order])

    def objects(self, weights: np.ndarray) -> np.ndarray:
        """(C,) float64: objects of each category, each as heavy as its category's (C,) weight."""
        return np.bincount(self.object_labels, minlength=self.num_categories) * weights

    def _reordered(self, order: np.ndarray, owners: np.ndarray) -> Self:
        of_detections = ("labels", "scores", "right", "images")
        moved = {name: getattr(self, name)[order] for name in of_detections}
        return replace(self, owners=owners, **moved)
