"""The right-label share: whether objects are called what they are, over all categories at once.

Average precision ranks the detections of one category among each other. What a person sees of an
object is the best detection there, whatever its category; here categories compete.

G: objects that count. C: categories.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.bootstrap import by_image
from bacl.evaluation.contenders import Contenders
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.groups import Grouping
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

_FIRST_LOOK = 16  # an image's best detections; most objects need no others


@dataclass(slots=True, frozen=True, eq=False)
class RightLabels:
    """Of every object that counts (any area; no crowd, nothing ignored), whether it is right."""

    images: np.ndarray
    """(G,) int64, positions in `GroundTruth.image_ids`, ascending."""
    labels: np.ndarray
    """(G,) int64 in [0, C)."""
    right: np.ndarray
    """(G,) bool: the best detection that overlaps the object has its category."""
    judged: np.ndarray
    """(I,) int64, positions of all images that were judged, with or without objects, ascending."""
    scores: np.ndarray | None = None
    """(G,) float64 of that detection, minus infinity where there is none; None: not looked at."""

    def share(self, members: np.ndarray | None = None) -> float:
        """How many are right of the objects of these categories, a (C,) bool mask, or of all.

        In [0, 1]; -1 without objects.
        """
        right = self.right if members is None else self.right[members[self.labels]]
        return float(right.mean()) if len(right) else -1.0

    def of_groups(self, grouping: Grouping) -> dict[str, float]:
        """The share of each group of categories by its key; -1 without objects."""
        return {group.key: self.share(group.members) for group in grouping.groups}

    def only(self, images: np.ndarray) -> "RightLabels":
        """The objects of these images, (n,) int64 positions in `GroundTruth.image_ids`."""
        kept, judged = np.isin(self.images, images), np.intersect1d(self.judged, images)
        scores = None if self.scores is None else self.scores[kept]
        return RightLabels(self.images[kept], self.labels[kept], self.right[kept], judged, scores)

    def sums(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right objects and objects of each judged image, for `bootstrap.ratios`.

        Args:
            members: (K, C) bool, the categories of each of K groups.

        Returns:
            Two (I, K) float64, a row for every judged image, whether it has objects or none: two
            heads judged by the same truth have the same rows, and so have the rates of errors.
        """
        group, which = np.nonzero(members[:, self.labels])
        images, right = self.images[which], self.right[which]
        width = len(members)
        return (
            by_image(images[right], group[right], self.judged, width),
            by_image(images, group, self.judged, width),
        )


def right_labels(
    truth: GroundTruth,
    detections: DetectionColumns,
    rules: Rules,
    verdicts: Verdicts | None = None,
) -> RightLabels:
    """Look at the best detection over every object.

    Of an image's detections that count by the rules' cap, those that overlap the object with an IoU
    of at least 0.5 are compared by score, of whatever category they are, the earlier of equals
    first. If the best one has the object's category, the object is right. An object without such a
    detection is not. A detection may decide over several objects.

    Where annotations are federated, detections of categories that are not verified to be present
    in, or absent from, the image are left out: nobody can say that they are wrong. So are those of
    categories annotated in part, but for objects of their own category.

    Args:
        truth: the objects.
        detections: of images of the truth, each once.
        rules: of the benchmark; the cap of detections applies before anything is left out.
        verdicts: of the boxes of these detections by these rules, where they are known: what they
            have put in order is not put in order again.
    """
    contenders = Contenders.of(truth, detections, rules, verdicts)
    best = _best(contenders)
    right = best >= 0
    scores = np.where(right, np.append(contenders.scores, 0.0)[best], -np.inf)
    right[right] = contenders.found[best[right]] == contenders.labels[right]
    return RightLabels(contenders.images, contenders.labels, right, truth.judged_images, scores)


def _best(contenders: Contenders) -> np.ndarray:
    """(G,) int64, the best detection over each object; -1 without.

    All objects look at a few detections, those without an answer at twice as many more.
    """
    first, last = contenders.first, contenders.last
    answers, open_, look = np.full(len(first), -1), np.flatnonzero(first < last), 0
    while len(open_):
        begin = first[open_] + look
        look = 2 * look + _FIRST_LOOK
        end = np.minimum(first[open_] + look, last[open_])
        for who, what in contenders.pairs(open_, begin, end):
            answers[who[::-1]] = what[::-1]  # in reverse: the best one is written last
        open_ = open_[(answers[open_] < 0) & (end < last[open_])]
    return answers
