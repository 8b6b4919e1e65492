"""Which detections are judged, the best first.

D: detections. N: of them, those that are judged. C: categories.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.object_matching import rank_in_run
from bacl.evaluation.rules import Rules
from bacl.evaluation.stable_order import ascending, descending
from bacl.evaluation.truth import GroundTruth

_ROWS_AT_ONCE = 1 << 16  # bounds what is held of detections that are not judged: about 2 MB


@dataclass(slots=True, frozen=True)
class JudgedRows:
    """Those that count by the limit, exist, and are of a category that is verified in the image."""

    rows: np.ndarray
    """(N,) int64 in the columns of detections, by score; among equals by image id, then as
    given."""
    images: np.ndarray
    """(N,) int64, positions in `GroundTruth.image_ids`."""
    keys: np.ndarray
    """(N,) int64, of the categories in the images."""
    counting: np.ndarray
    """(D,) bool: among the best by the limit, judged or not."""
    num_detections: np.ndarray
    """(C,) int64, these by category."""

    @classmethod
    def of(
        cls, truth: GroundTruth, detections: DetectionColumns, areas: np.ndarray, rules: Rules
    ) -> "JudgedRows":
        """Of boxes or masks with `areas` (D,) float64."""
        counting = within_limit(detections, rules.max_detections, rules.limit_per_category)
        number = np.zeros(truth.num_categories, np.int64)
        parts = [[np.zeros(0, np.int64)] * 3]
        for part, images in _parts(truth, detections):
            labels = detections.labels[part]
            number += np.bincount(labels[counting[part]], minlength=len(number))
            keys = images * truth.num_categories + labels
            kept = counting[part] & rules.exists(areas[part]) & truth.evaluated(keys)
            own = np.flatnonzero(kept)
            parts.append([own + part.start, images[own], keys[own]])
        rows, images, keys = map(np.concatenate, zip(*parts, strict=True))
        order = best_first(images, detections.scores.take(rows))
        return cls(rows.take(order), images.take(order), keys.take(order), counting, number)


def best_first(images: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(N,) int64: positions by score; among equals by image, then as they are."""
    if (images[1:] >= images[:-1]).all():
        return descending(scores)
    order = ascending(images)
    return order.take(descending(scores.take(order)))


def images_of(truth: GroundTruth, detections: DetectionColumns) -> np.ndarray:
    """(D,) int64, positions in `GroundTruth.image_ids`."""
    return np.repeat(truth.image_index(detections.image_ids), detections.counts)


def within_limit(detections: DetectionColumns, limit: int, of_category: bool) -> np.ndarray:
    """(D,) bool: among the `limit` best of its image, the earlier of equals first.

    With `of_category`, among so many of its category in its image.
    """
    kept = np.ones(len(detections.scores), bool)
    # Only an image with more than the limit can hold a category with more.
    crowded = np.flatnonzero(detections.counts > limit)
    rows = np.flatnonzero(np.repeat(detections.counts > limit, detections.counts))
    owners = np.repeat(crowded, detections.counts[crowded])
    if of_category:
        labels = detections.labels[rows]
        owners = owners * (int(labels.max(initial=0)) + 1) + labels
    order = descending(detections.scores[rows])
    order = order[ascending(owners[order])]
    opens = np.diff(owners[order], prepend=-1) != 0
    kept[rows[order[rank_in_run(opens) >= limit]]] = False
    return kept


def _parts(truth: GroundTruth, detections: DetectionColumns) -> Iterator[tuple[slice, np.ndarray]]:
    """A stretch of the detections, and their images, (n,) int64."""
    index, ends = truth.image_index(detections.image_ids), np.cumsum(detections.counts)
    cuts = np.flatnonzero(np.diff(ends // _ROWS_AT_ONCE, prepend=-1, append=-1))
    for first, last in pairwise(cuts):
        begin = int(ends[first] - detections.counts[first])
        part = slice(begin, int(ends[last - 1]))
        yield part, np.repeat(index[first:last], detections.counts[first:last])
