"""Finds the verdicts on detections: which ones are judged, and what each came to.

N: judged detections. C: categories. A: area ranges.
"""

import numpy as np

from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.conditions import AREA_RANGES, area_conditions
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.judged_rows import JudgedRows, best_first, images_of, within_limit
from bacl.evaluation.object_matching import match, rank_in_run
from bacl.evaluation.rules import Rules
from bacl.evaluation.stable_order import ascending
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

FIXED_LIMIT = 10_000
"""Detections of a category that count for AP_fixed, over all images (Dave et al. 2021)."""


def find_verdicts(
    truth: GroundTruth,
    detections: DetectionColumns,
    areas: np.ndarray,
    overlap: PairOverlap,
    rules: Rules,
) -> Verdicts:
    """Match the boxes or masks of `detections`; see `judging.judge`."""
    judged = JudgedRows.of(truth, detections, areas, rules)
    order = ascending(detections.labels.take(judged.rows))
    ranking = np.empty_like(order)
    ranking[order] = np.arange(len(order))
    rows, keys = judged.rows.take(order), judged.keys.take(order)
    right, wrong, taken = _conditions(truth, rows, keys, areas.take(rows), overlap)
    fitting = rules.fitting_limit(truth.num_categories)
    return Verdicts(
        detections.labels.take(rows),
        detections.scores.take(rows),
        judged.images.take(order),
        None if fitting is None else within_limit(detections, fitting, of_category=False)[rows],
        right,
        wrong,
        _count_objects(truth),
        judged.num_detections,
        rows,
        taken,
        ranking,
        _foremost(truth, detections, judged, rows),
    )


def _conditions(
    truth: GroundTruth,
    rows: np.ndarray,
    keys: np.ndarray,
    areas: np.ndarray,
    overlap: PairOverlap,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match detections with the objects of their keys.

    Args:
        truth: the objects.
        rows: (N,) int64, by score.
        keys: (N,) int64, of their categories in their images.
        areas: (N,) float64.
        overlap: of detections and objects.

    Returns:
        `right`, `wrong` and `taken` of `Verdicts`.
    """
    with_objects = np.flatnonzero(truth.present(keys))
    by_key = with_objects.take(ascending(keys.take(with_objects)))
    matches = match(truth, rows.take(by_key), keys.take(by_key), overlap)
    right = np.zeros(len(rows), np.uint64)
    right[by_key] = matches.right
    wrong = area_conditions(areas)
    wrong[~truth.exhaustive(keys)] = 0
    wrong[by_key] &= ~(matches.right | matches.ignored)
    return right, wrong, matches.taken


def _foremost(
    truth: GroundTruth, detections: DetectionColumns, judged: JudgedRows, rows: np.ndarray
) -> np.ndarray | None:
    """Of some rows, which are among the best `FIXED_LIMIT` of their categories, judged or not.

    Of equals the lower image id: in whichever order processes gathered them, the same ones count.

    Args:
        truth: the objects.
        detections: all of them.
        judged: which count, and are judged.
        rows: (N,) int64.
    """
    many = judged.num_detections > FIXED_LIMIT
    if not many.any():
        return None
    crowded = np.flatnonzero(judged.counting & many[detections.labels])
    images = images_of(truth, detections)[crowded]
    crowded = crowded[best_first(images, detections.scores[crowded])]
    crowded = crowded[ascending(detections.labels[crowded])]
    places = rank_in_run(np.diff(detections.labels[crowded], prepend=-1) != 0)
    foremost = np.ones(len(detections.scores), bool)
    foremost[crowded[places >= FIXED_LIMIT]] = False
    return foremost[rows]


def _count_objects(truth: GroundTruth) -> np.ndarray:
    """(C, A) int64: objects that count, of each category in each area range."""
    labels = truth.labels[~truth.ignored]
    areas = truth.areas[~truth.ignored]
    ranges = [(areas >= low) & (areas <= high) for low, high in AREA_RANGES.values()]
    counts = [np.bincount(labels[inside], minlength=truth.num_categories) for inside in ranges]
    return np.stack(counts, axis=1)
