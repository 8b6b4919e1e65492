"""Detections that contend for objects: whichever overlaps an object, of whatever category it is.

G: objects that count. D: detections. N: of them, those that are looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bacl.evaluation.box_overlap import PairOverlap, box_overlap
from bacl.evaluation.conditions import IOU_THRESHOLDS
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.judged_rows import JudgedRows
from bacl.evaluation.rules import Rules
from bacl.evaluation.stable_order import ascending
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts

_PAIRS_AT_ONCE = 1 << 17  # bounds the memory of a block: about 15 MB
_BOXES_AT_ONCE = 1 << 14  # what is made of them stays in the caches of a processor
_SLACK = 1e-6  # of a box's side: what rounding may move a centre by is far less


@dataclass(slots=True, frozen=True, eq=False)
class Contenders:
    """Objects that count (any area; no crowd, nothing ignored), and what may decide over them.

    Left out are detections beyond the rules' limit, those that do not exist by the rules, and, in
    federated annotations, those of which nobody can say that they are wrong: of categories that
    are not verified to be present in, or absent from, the image, and of categories annotated in
    part, but for objects of their own category.
    """

    images: np.ndarray
    """(G,) int64, positions in `GroundTruth.image_ids`, ascending."""
    labels: np.ndarray
    """(G,) int64 in [0, C)."""
    first: np.ndarray
    """(G,) int64, where the detections of the object's image begin, the best one first."""
    last: np.ndarray
    """(G,) int64, where they end."""
    found: np.ndarray
    """(N,) labels of the detections."""
    scores: np.ndarray
    """(N,) float64; among equals the earlier detection is first."""
    _partial: np.ndarray
    """(N,) bool: the category is annotated in part in the image."""
    rows: np.ndarray
    """(N,) int64 in the columns of detections."""
    _objects: np.ndarray
    """(G,) int64, rows of the truth."""
    _centres: np.ndarray
    """(2, N) float64 x and y of the detections."""
    _corners: np.ndarray
    """(4, G) float64 x, y, x, y of the objects, a little outside."""
    _overlap: PairOverlap

    @classmethod
    def of(
        cls,
        truth: GroundTruth,
        detections: DetectionColumns,
        rules: Rules,
        verdicts: Verdicts | None = None,
    ) -> "Contenders":
        """Of the images of the truth; each occurs at most once among the detections.

        Args:
            truth: the objects.
            detections: of its images.
            rules: of the benchmark.
            verdicts: of their boxes, where these are known: what is judged there contends here.
        """
        objects = np.flatnonzero(~(truth.ignored | truth.crowd))
        images, labels = np.divmod(truth.keys[objects], truth.num_categories)
        rows, owners = _rows_by_image(truth, detections, rules, verdicts)
        found = detections.labels.take(rows)
        return cls(
            images,
            labels,
            np.searchsorted(owners, images, side="left"),
            np.searchsorted(owners, images, side="right"),
            found,
            detections.scores.take(rows),
            ~truth.exhaustive(owners * truth.num_categories + found),
            rows,
            objects,
            _centres(detections.boxes, rows),
            _corners(truth.boxes[objects]),
            box_overlap(detections.boxes, truth.boxes, truth.crowd),
        )

    def pairs(
        self, which: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Objects and detections that overlap them with an IoU of at least 0.5, in blocks.

        Args:
            which: (n,) int64 in [0, G).
            begin: (n,) int64, the first detection to look at.
            end: (n,) int64, that after the last.

        Yields:
            Two (P,) int64 in [0, G) and [0, N), object by object, each one's best detection first.
        """
        for some in _blocks(end - begin):
            size = end[some] - begin[some]
            who = np.repeat(which[some], size)
            what = np.arange(size.sum()) + np.repeat(begin[some] - (np.cumsum(size) - size), size)
            near = self._hit(who, what)
            who, what = who[near], what[near]
            reached = self._overlap(self.rows[what], self._objects[who]) >= IOU_THRESHOLDS[0]
            reached &= ~self._partial[what] | (self.found[what] == self.labels[who])
            yield who[reached], what[reached]

    def _hit(self, who: np.ndarray, what: np.ndarray) -> np.ndarray:
        """Indices of the pairs whose detection has its centre in the object.

        Every pair with an IoU of a half is among them: along each axis at least half of the
        detection lies within the object. They are few, and this is quicker to tell than the IoU.
        """
        x, y = self._centres
        left, top, right, bottom = self._corners
        middle = x.take(what)
        near = np.flatnonzero((middle >= left.take(who)) & (middle <= right.take(who)))
        who, middle = who[near], y.take(what[near])  # few are left
        return near[(middle >= top.take(who)) & (middle <= bottom.take(who))]


def _rows_by_image(
    truth: GroundTruth, detections: DetectionColumns, rules: Rules, verdicts: Verdicts | None
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) rows of the detections and positions of their images, each image's best one first."""
    if verdicts is None:
        judged = JudgedRows.of(truth, detections, detections.areas, rules)
        rows, owners = judged.rows, judged.images
    else:
        ranked = (verdicts.rows, verdicts.images)
        rows, owners = (each.take(verdicts.ranking) for each in ranked)
    order = ascending(owners)
    return rows.take(order), owners.take(order)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """(4, G) float64 x, y, x, y of boxes (G, 4) xywh, a little outside."""
    corner, size = np.split(boxes.T, 2)
    slack = _SLACK * (1 + size)
    return np.concatenate([corner - slack, corner + size + slack])


def _centres(boxes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(2, n) float64, x and y of the middles of some boxes (D, 4) xywh."""
    found = np.empty((2, len(rows)))
    for first in range(0, len(rows), _BOXES_AT_ONCE):
        some = boxes.take(rows[first : first + _BOXES_AT_ONCE], axis=0)
        found[:, first : first + _BOXES_AT_ONCE] = (some[:, :2] + some[:, 2:] / 2).T
    return found


def _blocks(sizes: np.ndarray) -> Iterator[slice]:
    """Consecutive stretches of about as many pairs as are looked at together."""
    part = np.cumsum(sizes) // _PAIRS_AT_ONCE
    cuts = [*np.flatnonzero(np.diff(part, prepend=-1)), len(sizes)]
    for start, stop in pairwise(cuts):
        yield slice(start, stop)
