"""What each kind of error costs in AP at an IoU of 0.5: TIDE's parts (dAP).

Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", 2020, Sec. 2.3: all
errors of one kind are mended, and what AP gains is the part. Parts do not add up to what is
lacking. Where the text leaves something open, we do as the published code does.

C: categories. G: objects. N: judged detections, see `Verdicts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from bacl.evaluation.errors.detection_kinds import (
    ERRORS,
    FIRST,
    DetectionKind,
    DetectionKinds,
    words,
)
from bacl.evaluation.precision import average_precisions
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

MISSED, FALSE_POSITIVES, FALSE_NEGATIVES = "missed", "false positives", "false negatives"


@dataclass(slots=True, frozen=True, eq=False)
class ErrorParts:
    """AP50 as it is, and with the errors of one kind mended."""

    precision: np.ndarray
    """(C,) float64 in [0, 1]; -1 without objects."""
    mended: Mapping[str, np.ndarray]
    """(C,) float64 by kind: the five of detections, "missed" (objects that no detection found, and
    that mending neither category nor place finds), and two that overlap with these: "false
    positives" (all wrong detections go), "false negatives" (only what was found is asked for)."""

    def mean(self, members: np.ndarray | None = None) -> float:
        """AP50 of all categories, or of these (C,) bool, as it is; NaN without objects."""
        return _mean(self.precision, self._counted(members))

    def cost(self, kind: str, members: np.ndarray | None = None) -> float:
        """What AP50 of all categories, or of these (C,) bool, gains by mending; NaN without any.

        A category whose objects were all missed keeps its AP: it stays in the mean with 0.
        """
        return _mean(self.mended[kind] - self.precision, self._counted(members))

    def _counted(self, members: np.ndarray | None) -> np.ndarray:
        known = self.precision >= 0
        return known if members is None else members & known


def error_parts(truth: GroundTruth, verdicts: Verdicts, found: DetectionKinds) -> ErrorParts:
    """Mend one kind of error after another.

    A detection of the wrong category gets that of the object, and a badly localised one its place,
    if nothing else found the object and it is the best-scored of all such detections, of both
    kinds, that claim it; otherwise it goes. Duplicates, both and background go. For what was missed
    there are so many objects less.

    Args:
        truth: the objects.
        verdicts: of the detections.
        found: their kinds.
    """
    objects = verdicts.num_objects[:, 0]
    right, wrong = (verdicts.right & FIRST) != 0, (verdicts.wrong & FIRST) != 0
    free = ~truth.ignored & ~truth.crowd & ((verdicts.taken & FIRST) == 0)
    saves = _saviours(verdicts.scores, found.objects, free)
    claimed = np.zeros(len(truth.keys), bool)
    claimed[found.objects[found.objects >= 0]] = True
    precision = partial(average_precisions, verdicts.labels, right)
    mended = {}
    for kind in ERRORS:
        own = found.kinds == kind
        if kind == DetectionKind.WRONG_CATEGORY:
            mended[words(kind)] = _renamed(truth, verdicts, found.objects, own, own & saves)
        else:
            saved = right | (own & saves)
            mended[words(kind)] = average_precisions(verdicts.labels, saved, wrong & ~own, objects)
    nothing = np.zeros_like(wrong)
    mended[MISSED] = precision(wrong, _without(objects, truth.labels[free & ~claimed]))
    mended[FALSE_POSITIVES] = precision(nothing, objects)
    mended[FALSE_NEGATIVES] = precision(wrong, _without(objects, truth.labels[free]))
    kept = {kind: np.where(objects > 0, after.clip(0), -1) for kind, after in mended.items()}
    return ErrorParts(precision(wrong, objects), kept)


def _renamed(
    truth: GroundTruth,
    verdicts: Verdicts,
    objects: np.ndarray,
    own: np.ndarray,
    saved: np.ndarray,
) -> np.ndarray:
    """(C,) AP50 with some detections right in the categories of their objects.

    Args:
        truth: the objects.
        verdicts: of the detections.
        objects: (N,) which object each has to do with.
        own: (N,) bool, those that are not wrong any more.
        saved: (N,) bool, those of them that are right.
    """
    labels = verdicts.labels.astype(np.int64)
    labels[saved] = truth.labels[objects[saved]]
    order = np.lexsort((-verdicts.scores, labels))
    right = ((verdicts.right & FIRST) != 0) | saved
    wrong = ((verdicts.wrong & FIRST) != 0) & ~own
    return average_precisions(labels[order], right[order], wrong[order], verdicts.num_objects[:, 0])


def _saviours(scores: np.ndarray, objects: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(N,) bool: the best-scored detection that claims a free object, the first of equals.

    Args:
        scores: (N,).
        objects: (N,) what is claimed, -1: nothing.
        free: (G,) bool.
    """
    claims = np.flatnonzero(objects >= 0)
    claims = claims[free[objects[claims]]]
    order = claims[np.lexsort((-scores[claims], objects[claims]))]
    saves = np.zeros(len(objects), bool)
    saves[order[np.flatnonzero(np.diff(objects[order], prepend=-1))]] = True
    return saves


def _without(objects: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C,) int64: numbers of objects, less those of these labels."""
    return objects - np.bincount(labels, minlength=len(objects))


def _mean(values: np.ndarray, some: np.ndarray) -> float:
    return float(values[some].mean()) if some.any() else float("nan")
