"""What is to be said of every detection: whether it counts, and whether it is right or wrong.

All curves are drawn from these. D: detections. N: of them, those that are judged. C: categories.
A: area ranges.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.curves import Curves
from bacl.evaluation.precision import accumulate, words_of
from bacl.evaluation.stable_order import ascending


@dataclass(slots=True, frozen=True)
class Verdicts:
    """Of judged detections, by category; within one, best first, among equals by image id."""

    labels: np.ndarray
    """(N,) in [0, C), ascending."""
    scores: np.ndarray
    """(N,) float64."""
    images: np.ndarray
    """(N,) int64, positions in `GroundTruth.image_ids`."""
    fitting: np.ndarray | None
    """(N,) bool: counts at the fitting limit too; None where there is none."""
    right: np.ndarray
    """(N,) uint64, bits as `accumulate` takes them."""
    wrong: np.ndarray
    """(N,) uint64."""
    num_objects: np.ndarray
    """(C, A) int64, objects that count."""
    num_detections: np.ndarray
    """(C,) int64, detections among the best of their images, judged or not."""
    rows: np.ndarray
    """(N,) int64 in the columns of detections."""
    taken: np.ndarray
    """(G,) uint64 of the truth's objects, see `Matches.taken`."""
    ranking: np.ndarray
    """(N,) int64 in [0, N), of all categories together, the best score first; among equals by image
    id, then as given."""
    foremost: np.ndarray | None
    """(N,) bool: among the best of its category, as many as `finding_verdicts.FIXED_LIMIT` says;
    None where all are."""

    def curves(self) -> Curves:
        """By the benchmark's own rules."""
        return accumulate(self.labels, self.right, self.wrong, self.num_objects)

    def at_fitting_limit(self) -> Curves | None:
        """Of all areas alone, where fewer detections of an image count.

        Nothing is matched anew. What counts of a category in an image are the first of those that
        counted before, and in matching the first choose before the others.
        """
        if self.fitting is None:
            return None
        kept, every_area = self.fitting, self.num_objects[:, :1]
        return accumulate(self.labels[kept], self.right[kept], self.wrong[kept], every_area)

    def at_fixed_limit(self) -> Curves:
        """Of all areas, where so many of each category count: AP_fixed, if no image has a limit.

        Dave et al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in the Details",
        2021, Sec. 4. As at the fitting limit nothing is matched anew.
        """
        kept = slice(None) if self.foremost is None else self.foremost
        every_area = self.num_objects[:, :1]
        return accumulate(self.labels[kept], self.right[kept], self.wrong[kept], every_area)

    def _by_category_among_equals(self) -> np.ndarray:
        """(N,) int64: as `ranking`, but among equal scores by category, then as there."""
        order = self.ranking.copy()
        scores = self.scores[order]
        equal = scores[1:] == scores[:-1]
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        order[tied] = order[tied[np.lexsort((order[tied], -scores[tied]))]]
        return order

    def pooled(self, members: np.ndarray) -> Curves:
        """Of all areas: a curve for the detections of all categories together, one for each group.

        Matched as always within image and category; then ranked over categories. Dave et al.,
        "Evaluating Large-Vocabulary Object Detectors: The Devil is in the Details", 2021, Sec. 5,
        pool so; their limit is one for each category of the data set, here it is the benchmark's.

        Args:
            members: (K, C) bool, which share out the categories.

        Returns:
            Of K + 1 "categories": all of them, and the groups.
        """
        order = self._by_category_among_equals()
        group = (1 + members.argmax(axis=0)).astype(np.uint16)[self.labels[order]]
        by_group = ascending(group)
        rows = np.concatenate([order, order[by_group]])
        labels = np.concatenate([np.zeros_like(group), group[by_group]])
        objects = np.array([self.num_objects[own, 0].sum() for own in (..., *members)])
        right, wrong = (words_of(each)[rows] for each in (self.right, self.wrong))
        return accumulate(labels, right, wrong, objects[:, None])
