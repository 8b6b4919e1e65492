"""What went wrong in an evaluation of one variant, kept small: tables and pictures read it.

G: objects that count. D: detections. C: categories. n: detections at the operating threshold.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.errors.detection_kinds import DetectionKind, DetectionKinds, detection_kinds
from bacl.evaluation.errors.error_parts import ErrorParts, error_parts
from bacl.evaluation.errors.object_fates import ObjectFates, object_fates
from bacl.evaluation.errors.overlapping_pairs import overlapping_pairs
from bacl.evaluation.judged_rows import images_of, within_limit
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts


@dataclass(slots=True, frozen=True, eq=False)
class ShownDetections:
    """The judged detections that score at least the operating threshold, best first."""

    images: np.ndarray
    """(n,) int64, positions in `GroundTruth.image_ids`."""
    labels: np.ndarray
    """(n,) int64 in [0, C)."""
    scores: np.ndarray
    """(n,) float64."""
    boxes: np.ndarray
    """(n, 4) float64 xywh."""
    kinds: np.ndarray
    """(n,) uint8, a `DetectionKind`, never `UNJUDGED`."""


@dataclass(slots=True, frozen=True, eq=False)
class ErrorFindings:
    """Of boxes, at an IoU of 0.5."""

    truth: GroundTruth
    """Of the images that were judged."""
    objects: ObjectFates
    threshold: float
    """The operating threshold: the score from which on there are as many judged detections as
    objects, or what was asked for. Heads whose scores are of different heights make equally many
    statements there, and no label is looked at to find it."""
    shown: ShownDetections
    unjudged: np.ndarray
    """(C,) int64, detections at the threshold that cannot be judged, by their category."""
    parts: ErrorParts
    """What each kind costs in AP50, over all scores."""

    @classmethod
    def of(
        cls,
        truth: GroundTruth,
        detections: DetectionColumns,
        rules: Rules,
        verdicts: Verdicts,
        threshold: float | None = None,
    ) -> Self:
        """Look at everything once.

        Args:
            truth: the objects.
            detections: of images of the truth, each once.
            rules: of the benchmark.
            verdicts: of the detections, by these rules.
            threshold: scores from which on detections are told of; None: see `threshold`.
        """
        image = images_of(truth, detections)
        keys = image * truth.num_categories + detections.labels
        kept = within_limit(detections, rules.max_detections, rules.limit_per_category)
        kept &= rules.exists(detections.areas)
        pairs = overlapping_pairs(truth, detections, kept)
        kinds = detection_kinds(truth, verdicts, detections.labels, pairs)
        fates = object_fates(truth, detections, keys, pairs)
        if threshold is None:
            threshold = _operating_threshold(verdicts, kinds, len(fates.labels))
        shown = _shown(detections, image, verdicts, kinds, threshold)
        counted = detections.labels[kept & (detections.scores >= threshold)]
        unjudged = np.bincount(counted, minlength=truth.num_categories)
        unjudged -= np.bincount(shown.labels, minlength=truth.num_categories)
        parts = error_parts(truth, verdicts, kinds)
        return cls(truth, fates, threshold, shown, unjudged, parts)


def _operating_threshold(verdicts: Verdicts, found: DetectionKinds, objects: int) -> float:
    """The lowest score with at most as many judged detections as objects; equals stay together.

    Infinite where there is none.
    """
    scores = np.sort(verdicts.scores[found.kinds != DetectionKind.UNJUDGED])[::-1]
    if len(scores) <= objects:
        return float(scores[-1]) if len(scores) else float("inf")
    higher = scores[: np.searchsorted(-scores, -scores[objects], side="left")]
    return float(higher[-1]) if len(higher) else float(scores[0])


def _shown(
    detections: DetectionColumns,
    image: np.ndarray,
    verdicts: Verdicts,
    found: DetectionKinds,
    threshold: float,
) -> ShownDetections:
    own = (verdicts.scores >= threshold) & (found.kinds != DetectionKind.UNJUDGED)
    places = np.flatnonzero(own)
    places = places[np.argsort(-verdicts.scores[places], kind="stable")]
    rows = verdicts.rows[places]
    return ShownDetections(
        image[rows],
        verdicts.labels[places].astype(np.int64),
        verdicts.scores[places],
        detections.boxes[rows],
        found.kinds[places],
    )
