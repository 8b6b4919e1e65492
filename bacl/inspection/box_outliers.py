"""Boxes of an odd size or shape: over the whole picture, very long, tiny."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit

ALL = 0.99
"""Share of the picture's width and height from which on a box covers it."""
MANY = 0.2
"""Share of the objects from which on boxes over whole pictures are likely none."""
SLENDER = 20.0
"""Longer over shorter side of a box."""
LEAST = 4.0
"""Pixels in the file: square root of the area."""

WHOLE = Fault(
    "whole_picture",
    Severity.NOTE,
    "boxes cover their whole picture",
    "where they are labels of pictures, nothing is learnt of where objects are",
    "look at some; draw boxes around the objects",
)
LONG = Fault(
    "long_boxes",
    Severity.NOTE,
    f"boxes are more than {SLENDER:g} times as long as wide",
    "no anchor has such a shape, so few of them are found",
    "look at some",
)
TINY = Fault(
    "tiny_objects",
    Severity.NOTE,
    f"objects are smaller than {LEAST:g} x {LEAST:g} pixels in the file",
    "they are hardly found",
    "look at some; take larger pictures, if there are any",
)


def box_outliers(data: Inspected) -> Iterator[Finding]:
    """A finding for each kind in each split."""
    for split in data.splits:
        yield from _of(split)


def _of(split: InspectedSplit) -> Iterator[Finding]:
    rows = split.objects
    sides = split.table.boxes[rows, 2:]
    pictures = split.table.image_sizes[split.owners[rows]][:, ::-1]
    whole = (sides >= ALL * pictures).all(axis=1)
    many = whole.sum() > MANY * len(rows)
    kinds = {
        replace(WHOLE, severity=Severity.WARNING) if many else WHOLE: whole,
        LONG: sides.max(axis=1, initial=0) > SLENDER * sides.min(axis=1, initial=np.inf),
        TINY: np.sqrt(sides.prod(axis=1)) < LEAST,
    }
    for fault, which in kinds.items():
        yield from split.objects_with(fault, rows[which], len(rows))
