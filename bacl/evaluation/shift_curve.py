"""What a head could be had for without training it anew: its right labels over a shift of scores.

Dividing scores by a power of the category's training images costs nothing and raises rare
categories at the expense of frequent ones (`bacl.heads.calibrations.shift`). Heads are therefore
compared as curves, the share of right labels of the rare against that of the frequent, and not as
points.

G: objects that count. C: categories. S: shifts.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.contenders import Contenders
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth

GAMMAS = tuple(step / 10 for step in range(13))
"""The powers, from no shift on."""


@dataclass(slots=True, frozen=True, eq=False)
class ShiftCurve:
    """Right labels at every shift."""

    gammas: tuple[float, ...]
    """S powers, ascending."""
    right_labels: tuple[RightLabels, ...]
    """S, of the same objects."""
    grouping: Grouping

    @property
    def ends(self) -> tuple[CategoryGroup, CategoryGroup] | None:
        """Of the groups with objects that with the least training data, and that with the most.

        None where there is no more than one such group.
        """
        labels = self.right_labels[0].labels
        groups = [group for group in self.grouping.groups if group.members[labels].any()]
        return (groups[0], groups[-1]) if len(groups) > 1 else None

    def shares(self, group: CategoryGroup) -> np.ndarray:
        """(S,) float64 in [0, 1], of a group that has objects."""
        return np.array([each.share(group.members) for each in self.right_labels])


def shift_curve(
    truth: GroundTruth,
    detections: DetectionColumns,
    rules: Rules,
    grouping: Grouping,
    image_counts: np.ndarray,
    gammas: tuple[float, ...] = GAMMAS,
) -> ShiftCurve:
    """Shift the scores of detections that were kept, without inferring anything anew.

    A shift leaves the order within a category as it is, and so suppression. What it could bring
    back is not here: detections that the unshifted scores had already put beyond the limit of
    detections an image, or below the score threshold of the detector.

    Args:
        truth: the objects.
        detections: of images of the truth, each once.
        rules: of the benchmark; its limit goes by the scores as they are.
        grouping: the categories in groups.
        image_counts: (C,) training images; 0 counts as 1, as in calibrations.
        gammas: ascending powers, at least 0.
    """
    contenders = Contenders.of(truth, detections, rules)
    who, what = _all_pairs(contenders)
    labels, scores = contenders.found[what], contenders.scores[what]
    hits, rows = labels == contenders.labels[who], contenders.rows[what]
    shifted = []
    for gamma in gammas:
        factors = np.maximum(image_counts, 1).astype(np.float64) ** -gamma
        best = _best(who, scores * factors[labels], rows)
        right = np.zeros(len(contenders.labels), bool)
        right[who[best]] = hits[best]
        own = RightLabels(contenders.images, contenders.labels, right, truth.judged_images)
        shifted.append(own)
    return ShiftCurve(tuple(gammas), tuple(shifted), grouping)


def _all_pairs(contenders: Contenders) -> tuple[np.ndarray, np.ndarray]:
    everyone = np.arange(len(contenders.labels))
    blocks = list(contenders.pairs(everyone, contenders.first, contenders.last))
    nothing = np.zeros(0, np.int64)
    who = np.concatenate([nothing, *(each for each, _ in blocks)])
    return who, np.concatenate([nothing, *(each for _, each in blocks)])


def _best(who: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Indices of the best pair of each object that has any, among equals of the earlier row."""
    order = np.lexsort((rows, -scores, who))
    return order[np.flatnonzero(np.diff(who[order], prepend=-1))]
