"""Judging detections by a benchmark's rules: which count, which are right, which are wrong.

D: detections. C: categories. A: area ranges.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.object_matching import (
    AREA_RANGES,
    PairOverlap,
    area_conditions,
    match,
    rank_in_run,
)
from bacl.evaluation.precision import Curves, accumulate
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth


@dataclass(slots=True, frozen=True)
class Judgement:
    """What was found of boxes or of masks; C: categories."""

    curves: Curves
    num_objects: np.ndarray
    """(C,) int64, objects that count, of any area."""
    num_detections: np.ndarray
    """(C,) int64, detections among the best of their images, judged or not."""


def judge(
    truth: GroundTruth,
    detections: DetectionColumns,
    areas: np.ndarray,
    overlap: PairOverlap,
    rules: Rules,
) -> Judgement:
    """Judge the boxes or masks of `detections`, each image of which occurs once.

    Args:
        truth: the objects.
        detections: of all images.
        areas: (D,) float64 of what is judged.
        overlap: IoU of what is judged.
        rules: of the benchmark.
    """
    image, keys, kept = within_limit(truth, detections, rules)
    num_detections = np.bincount(detections.labels[kept], minlength=truth.num_categories)
    kept &= rules.exists(areas) & truth.evaluated(keys)
    rows = np.flatnonzero(kept)
    # By category, best first; among equals by image id, then as given.
    rows = rows[np.lexsort((image[rows], -detections.scores[rows], detections.labels[rows]))]
    keys = keys[rows]
    by_key = np.argsort(keys, kind="stable")
    matches = match(truth, rows[by_key], keys[by_key], overlap)
    right, ignored = np.empty((2, len(rows)), np.uint64)
    right[by_key], ignored[by_key] = matches.right, matches.ignored
    blamed = np.where(truth.exhaustive(keys), area_conditions(areas[rows]), np.uint64(0))
    num_objects = _count_objects(truth)
    curves = accumulate(detections.labels[rows], right, blamed & ~(right | ignored), num_objects)
    return Judgement(curves, num_objects[:, 0], num_detections)


def within_limit(
    truth: GroundTruth, detections: DetectionColumns, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image (D,) int64, key (D,) int64, and whether a detection counts (D,) bool by the limit."""
    image = np.repeat(truth.image_index(detections.image_ids), detections.counts)
    keys = image * truth.num_categories + detections.labels
    owners = keys if rules.limit_per_category else image
    return image, keys, _best(detections, owners, rules.max_detections)


def _best(detections: DetectionColumns, owners: np.ndarray, limit: int) -> np.ndarray:
    """(D,) bool: among the `limit` best of its owner, the earlier of equals first.

    Args:
        detections: what is judged.
        owners: (D,) int64, what the limit holds for: an image, or a category in an image.
        limit: how many count.
    """
    kept = np.ones(len(detections.scores), bool)
    # Only an image with more than the limit can hold a category with more.
    rows = np.flatnonzero(np.repeat(detections.counts > limit, detections.counts))
    rows = rows[np.lexsort((-detections.scores[rows], owners[rows]))]
    opens = np.diff(owners[rows], prepend=-1) != 0
    kept[rows[rank_in_run(opens) >= limit]] = False
    return kept


def _count_objects(truth: GroundTruth) -> np.ndarray:
    """(C, A) int64: objects that count, of each category in each area range."""
    labels = truth.labels[~truth.ignored]
    areas = truth.areas[~truth.ignored]
    ranges = [(areas >= low) & (areas <= high) for low, high in AREA_RANGES.values()]
    counts = [np.bincount(labels[inside], minlength=truth.num_categories) for inside in ranges]
    return np.stack(counts, axis=1)
