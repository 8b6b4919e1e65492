"""What is to be said of every detection: whether it counts, and whether it is right or wrong.

All curves are drawn from these. D: detections. N: of them, those that are judged. C: categories.
A: area ranges.
"""

from dataclasses import dataclass

import numpy as np

from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.conditions import AREA_RANGES, area_conditions
from bacl.evaluation.curves import Curves
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.judged_rows import JudgedRows, best_first, images_of, within_limit
from bacl.evaluation.object_matching import match, rank_in_run
from bacl.evaluation.precision import accumulate, words_of
from bacl.evaluation.rules import Rules
from bacl.evaluation.stable_order import ascending
from bacl.evaluation.truth import GroundTruth

FIXED_LIMIT = 10_000
"""Detections of a category that count for AP_fixed, over all images (Dave et al. 2021)."""


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
    """(N,) bool: among the best `FIXED_LIMIT` of its category; None where all are."""

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
