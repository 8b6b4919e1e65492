"""What is to be said of every detection: whether it counts, and whether it is right or wrong.

All curves are drawn from these. D: detections. N: of them, those that are judged. C: categories.
A: area ranges.
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
        order = np.argsort(-self.scores, kind="stable")  # among equals by category
        group = members.argmax(axis=0)
        by_group = order[np.argsort(group[self.labels[order]], kind="stable")]
        rows = np.concatenate([order, by_group])
        labels = np.concatenate([np.zeros_like(order), 1 + group[self.labels[by_group]]])
        objects = np.array([self.num_objects[own, 0].sum() for own in (..., *members)])
        return accumulate(labels, self.right[rows], self.wrong[rows], objects[:, None])


def find_verdicts(
    truth: GroundTruth,
    detections: DetectionColumns,
    areas: np.ndarray,
    overlap: PairOverlap,
    rules: Rules,
) -> Verdicts:
    """Match the boxes or masks of `detections`; see `judging.judge`."""
    image, keys, kept = within_limit(truth, detections, rules)
    num_detections = np.bincount(detections.labels[kept], minlength=truth.num_categories)
    counting = kept
    kept = kept & rules.exists(areas) & truth.evaluated(keys)
    rows = np.flatnonzero(kept)
    # By category, best first; among equals by image id, then as given.
    rows = rows[np.lexsort((image[rows], -detections.scores[rows], detections.labels[rows]))]
    keys = keys[rows]
    by_key = np.argsort(keys, kind="stable")
    matches = match(truth, rows[by_key], keys[by_key], overlap)
    right, ignored = np.empty((2, len(rows)), np.uint64)
    right[by_key], ignored[by_key] = matches.right, matches.ignored
    blamed = np.where(truth.exhaustive(keys), area_conditions(areas[rows]), np.uint64(0))
    fitting = rules.fitting_limit(truth.num_categories)
    return Verdicts(
        detections.labels[rows],
        detections.scores[rows],
        image[rows],
        None if fitting is None else _best(detections, image, fitting)[rows],
        right,
        blamed & ~(right | ignored),
        _count_objects(truth),
        num_detections,
        rows,
        matches.taken,
        _foremost(detections, image, counting, num_detections, rows),
    )


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


def _foremost(
    detections: DetectionColumns,
    image: np.ndarray,
    counting: np.ndarray,
    numbers: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray | None:
    """Of some rows, which are among the best `FIXED_LIMIT` of their categories, judged or not.

    Of equals the lower image id: in whichever order processes gathered them, the same ones count.

    Args:
        detections: all of them.
        image: (D,) int64, as `within_limit` gives it.
        counting: (D,) bool, those that count by the rules.
        numbers: (C,) how many these are.
        rows: (N,) int64.
    """
    if numbers.max(initial=0) <= FIXED_LIMIT:
        return None
    crowded = np.flatnonzero(counting & (numbers > FIXED_LIMIT)[detections.labels])
    columns = (image, -detections.scores, detections.labels)
    crowded = crowded[np.lexsort([each[crowded] for each in columns])]
    places = rank_in_run(np.diff(detections.labels[crowded], prepend=-1) != 0)
    foremost = np.ones(len(counting), bool)
    foremost[crowded[places >= FIXED_LIMIT]] = False
    return foremost[rows]


def _count_objects(truth: GroundTruth) -> np.ndarray:
    """(C, A) int64: objects that count, of each category in each area range."""
    labels = truth.labels[~truth.ignored]
    areas = truth.areas[~truth.ignored]
    ranges = [(areas >= low) & (areas <= high) for low, high in AREA_RANGES.values()]
    counts = [np.bincount(labels[inside], minlength=truth.num_categories) for inside in ranges]
    return np.stack(counts, axis=1)
