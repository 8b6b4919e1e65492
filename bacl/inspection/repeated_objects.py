"""One object with two boxes, or with two labels."""

from collections.abc import Iterator

import numpy as np

from bacl.inspection.finding import Fault, Finding, Places, Severity, first
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.neighbours import Pairs, close_pairs, joined

SAME = 0.9
"""IoU from which on two boxes are of one object."""

TWICE = Fault(
    "object_twice",
    Severity.WARNING,
    "objects have another box of their category on them",
    "they are learnt twice as often, and in the evaluation one of the two is always missed",
    "remove one of each pair",
)
TWO_LABELS = Fault(
    "two_labels",
    Severity.WARNING,
    "objects have a box of another category on them",
    "one thing is taught as two, unless one of them fills the other (a person in a chair) or the "
    "categories overlap (some of LVIS)",
    "where it is one thing, keep the label that is right",
)


def repeated_objects(data: Inspected) -> Iterator[Finding]:
    """Pairs of boxes of an image that nearly coincide, with one label and with two."""
    for split in data.splits:
        one, other = coinciding(split)
        same = split.table.labels[one] == split.table.labels[other]
        yield from _finding(split, (one[same], other[same]), TWICE)
        yield from _finding(split, (one[~same], other[~same]), TWO_LABELS)


def coinciding(split: InspectedSplit) -> Pairs:
    """Rows i, j of annotations of one image whose boxes have an IoU of at least `SAME`.

    In order of image and area only neighbours can have: the smaller area over the larger is no less
    than the IoU.
    """
    table = split.table
    areas = table.boxes[:, 2:].clip(min=0).prod(axis=1)
    rows = np.flatnonzero(~table.ignore & (areas > 0))
    rows = rows[np.lexsort((areas[rows], split.owners[rows]))]
    owner, area = split.owners[rows], areas[rows]

    def close(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return (owner[i] == owner[j]) & (area[i] >= SAME * area[j])

    one, other = (rows[end] for end in joined(close_pairs(len(rows), close)))
    kept = _overlaps(table.boxes[one], table.boxes[other]) >= SAME
    return one[kept], other[kept]


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(P,) IoU of pairs of [x, y, width, height]."""
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    shared = (high - np.maximum(boxes[:, :2], others[:, :2])).clip(min=0).prod(axis=1)
    return shared / (boxes[:, 2:].prod(axis=1) + others[:, 2:].prod(axis=1) - shared)


def _finding(split: InspectedSplit, pairs: Pairs, fault: Fault) -> Iterator[Finding]:
    if len(pairs[0]):
        yield Finding(
            fault=fault,
            split=split.name,
            count=len(np.unique(pairs[1])),
            total=split.table.num_annotations,
            places=first(_told(split, pairs)),
        )


def _told(split: InspectedSplit, pairs: Pairs) -> Iterator[Places]:
    names, labels = split.table.category_names, split.table.labels
    for rows in zip(*(end.tolist() for end in pairs), strict=True):
        both = " and ".join(dict.fromkeys(names[labels[row]] for row in rows))
        yield (split.place(int(split.owners[rows[0]]), rows, both),)
