"""Finds annotations that may be wrong: contradicted by all heads, missing, or two on one object.

What heads have learned together, they are wrong about together. G: objects that count.
"""

from collections.abc import Sequence

import numpy as np

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.errors.detection_kinds import DetectionKind
from bacl.evaluation.errors.error_findings import ErrorFindings, ShownDetections
from bacl.evaluation.errors.object_fates import NONE, ObjectFate
from bacl.evaluation.errors.overlapping_pairs import NEAR, touching
from bacl.evaluation.errors.suspicions import NOTHING, LabelSuspicions, SuspicionKind
from bacl.evaluation.truth import GroundTruth

SAME_PLACE = 0.9
"""IoU from which on two annotated boxes are of one object."""


def label_suspicions(findings: Sequence[ErrorFindings]) -> list[LabelSuspicions]:
    """Of every kind, also without any.

    Args:
        findings: of all heads, of the same truth.
    """
    found = [contradicted(findings), not_annotated(findings), two_labels(findings[0].truth)]
    return [each.surest() for each in found]


def standing(shown: ShownDetections, scores: np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1]: share of a head's judged detections that score no higher.

    Of those at its operating threshold; 0 below it. Heads with scores of other heights can be
    compared by it.
    """
    ascending = shown.scores[::-1]
    return np.searchsorted(ascending, scores, side="right") / max(len(ascending), 1)


def contradicted(findings: Sequence[ErrorFindings]) -> LabelSuspicions:
    """See `SuspicionKind.CONTRADICTED`."""
    first = findings[0].objects
    called = np.stack([each.objects.found for each in findings])
    wrong = (called == called[0]).all(0) & (first.fates == ObjectFate.WRONG_CATEGORY)
    which = np.flatnonzero(wrong)
    which = which[~_explained(findings[0].truth, first.rows[which], called[0, which])]
    sure = [standing(each.shown, each.objects.scores[which]) for each in findings]
    unusual = [1 - _usual(first.labels, own)[which] for own in called]
    truth, rows = findings[0].truth, first.rows[which]
    return LabelSuspicions(
        SuspicionKind.CONTRADICTED,
        first.images[which],
        truth.boxes[rows],
        truth.rows[rows],
        first.labels[which],
        called[0, which],
        np.min(sure, axis=0) * np.min(unusual, axis=0),
    )


def not_annotated(findings: Sequence[ErrorFindings]) -> LabelSuspicions:
    """See `SuspicionKind.NOT_ANNOTATED`."""
    own, *others = [_background(each.shown) for each in findings]
    sure = standing(findings[0].shown, own.scores)
    categories = findings[0].truth.num_categories
    for found, other in zip(findings[1:], others, strict=True):
        again = _seen_again(own, other, standing(found.shown, other.scores), categories)
        sure = np.minimum(sure, again)
    nothing = np.full(len(sure), NOTHING)
    return LabelSuspicions(
        SuspicionKind.NOT_ANNOTATED, own.images, own.boxes, nothing, nothing, own.labels, sure
    )


def two_labels(truth: GroundTruth) -> LabelSuspicions:
    """See `SuspicionKind.TWO_LABELS`; told of the later one of two objects."""
    objects = np.flatnonzero(~(truth.ignored | truth.crowd))
    boxes, image = truth.boxes[objects], truth.keys[objects] // truth.num_categories
    first = np.searchsorted(image, image, side="left")
    before = np.arange(len(objects)) - first
    overlap = box_overlap(boxes, boxes, np.zeros(len(boxes), bool))
    blocks = [np.stack(pairs) for pairs in touching(boxes, boxes, first, before)]
    who, what = np.concatenate([np.zeros((2, 0), np.int64), *blocks], axis=1)
    iou, labels = overlap(who, what), truth.labels[objects]
    same = np.flatnonzero((iou >= SAME_PLACE) & (labels[who] != labels[what]))
    who, what, iou = who[same], what[same], iou[same]
    rows = truth.rows[objects[who]]
    return LabelSuspicions(
        SuspicionKind.TWO_LABELS, image[who], boxes[who], rows, labels[who], labels[what], iou
    )


def _explained(truth: GroundTruth, rows: np.ndarray, called: np.ndarray) -> np.ndarray:
    """(n,) bool: an object of the image of that category is near.

    Args:
        truth: all objects.
        rows: (n,) int64, some of them.
        called: (n,) int64 label of each.
    """
    keys = truth.keys[rows] // truth.num_categories * truth.num_categories + called
    first = np.searchsorted(truth.keys, keys, side="left")
    count = np.searchsorted(truth.keys, keys, side="right") - first
    own, overlap = truth.boxes[rows], box_overlap(truth.boxes[rows], truth.boxes, truth.crowd)
    near = np.zeros(len(rows), bool)
    for who, what in touching(own, truth.boxes, first, count):
        near[who[overlap(who, what) >= NEAR]] = True
    return near


def _usual(labels: np.ndarray, called: np.ndarray) -> np.ndarray:
    """(G,) share of the other objects of the category that are called the same.

    With one object more that is, and one that is not (Laplace): of a single one nothing is known.

    Args:
        labels: (G,) as annotated.
        called: (G,) as detected, or `NONE`.
    """
    width = int(called.max(initial=NONE)) - NONE + 1
    pairs = labels * width + called - NONE
    _, place, same = np.unique(pairs, return_inverse=True, return_counts=True)
    return same[place] / (np.bincount(labels)[labels] + 1)


def _background(shown: ShownDetections) -> ShownDetections:
    own = shown.kinds == DetectionKind.BACKGROUND
    columns = (shown.images, shown.labels, shown.scores, shown.boxes, shown.kinds)
    return ShownDetections(*(column[own] for column in columns))


def _seen_again(
    own: ShownDetections, other: ShownDetections, sure: np.ndarray, categories: int
) -> np.ndarray:
    """(n,) how sure the other head is of each of these detections; 0 where it has none there.

    Args:
        own: n detections.
        other: m detections of another head.
        sure: (m,) of that one's.
        categories: C.
    """
    keys = other.images * categories + other.labels
    order = np.argsort(keys, kind="stable")
    wanted = own.images * categories + own.labels
    first = np.searchsorted(keys[order], wanted, side="left")
    count = np.searchsorted(keys[order], wanted, side="right") - first
    overlap = box_overlap(own.boxes, other.boxes[order], np.zeros(len(order), bool))
    found = np.zeros(len(wanted))
    for who, what in touching(own.boxes, other.boxes[order], first, count):
        same = overlap(who, what) >= IOU_THRESHOLDS[0]
        np.maximum.at(found, who[same], sure[order][what[same]])
    return found
