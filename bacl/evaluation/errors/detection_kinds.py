"""What each detection is: right, or wrong in one of five ways.

D: detections. G: objects. N: judged detections, see `Verdicts`.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.errors.overlapping_pairs import OverlappingPairs
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

FIRST = np.uint64(1)
"""The bit of all areas at an IoU of 0.5."""


class DetectionKind(IntEnum):
    """As in Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", 2020.

    What is right is so by the benchmark's own matching at an IoU of 0.5 (TIDE: t_f). A detection
    that is wrong there is of the first of the kinds below that holds, as in TIDE's published code.
    IoU is that with objects that count; boxes decide, of masks too.
    """

    RIGHT = 0
    BADLY_LOCALISED = 1
    """The highest IoU with an object of its category is in [0.1, 0.5)."""
    WRONG_CATEGORY = 2
    """It overlaps an object of another category with an IoU of at least 0.5."""
    DUPLICATE = 3
    """It overlaps an object of its category that a better detection found."""
    BOTH = 4
    """It overlaps an object of another category, with an IoU in [0.1, 0.5)."""
    BACKGROUND = 5
    """Its IoU with every object is less than 0.1."""
    UNJUDGED = 6
    """Nobody can say whether it is wrong: its category is not verified in the image, or annotated
    in part and it finds nothing; or it lies on what is ignored."""


def words(kind: IntEnum) -> str:
    """What a kind is called in tables and files.

    >>> words(DetectionKind.BADLY_LOCALISED)
    'badly localised'
    """
    return kind.name.lower().replace("_", " ")


ERRORS = tuple(DetectionKind)[1:6]
"""The kinds that are wrong."""


@dataclass(slots=True, frozen=True, eq=False)
class DetectionKinds:
    """Of the judged detections, in the order of `Verdicts`."""

    kinds: np.ndarray
    """(N,) uint8, a `DetectionKind`."""
    objects: np.ndarray
    """(N,) int64, the object (row of the truth) that makes one badly localised or of the wrong
    category; -1 for all others."""


def detection_kinds(
    truth: GroundTruth, verdicts: Verdicts, labels: np.ndarray, pairs: OverlappingPairs
) -> DetectionKinds:
    """Tell what each judged detection is.

    Args:
        truth: the objects.
        verdicts: of the detections.
        labels: (D,) of all detections.
        pairs: of at least the judged ones.
    """
    wrong = np.zeros(len(labels), bool)
    wrong[verdicts.rows] = (verdicts.wrong & FIRST) != 0
    pairs = pairs.only(wrong[pairs.rows])
    same = labels[pairs.rows] == truth.labels[pairs.objects]
    own, own_iou = (each[verdicts.rows] for each in pairs.only(same).closest(len(labels)))
    other, other_iou = (each[verdicts.rows] for each in pairs.only(~same).closest(len(labels)))
    overlaps = IOU_THRESHOLDS[0]
    kinds = np.select(
        [
            (verdicts.right & FIRST) != 0,
            ~wrong[verdicts.rows],
            (own >= 0) & (own_iou < overlaps),
            other_iou >= overlaps,
            own >= 0,
            other >= 0,
        ],
        [
            DetectionKind.RIGHT,
            DetectionKind.UNJUDGED,
            DetectionKind.BADLY_LOCALISED,
            DetectionKind.WRONG_CATEGORY,
            DetectionKind.DUPLICATE,
            DetectionKind.BOTH,
        ],
        DetectionKind.BACKGROUND,
    ).astype(np.uint8)
    objects = np.where(kinds == DetectionKind.BADLY_LOCALISED, own, -1)
    return DetectionKinds(kinds, np.where(kinds == DetectionKind.WRONG_CATEGORY, other, objects))
