"""What is in the files but not trained on: pictures and objects, each by its first reason."""

from collections.abc import Iterator

import numpy as np

from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit

ROUNDING = 1.0
"""Pixels beyond the edge that are none."""
_PICTURES = "they are not trained on"
_OBJECTS = "they are neither trained on nor looked for"
_ODD_BOXES = "they are not trained on, but evaluations look for them where the official ones do"

EMPTY = Fault(
    "pictures_without_annotations",
    Severity.NOTE,
    "pictures have no annotation",
    _PICTURES,
    "datamodule.negatives=true trains on them",
)
IGNORED_ALONE = Fault(
    "pictures_without_objects",
    Severity.NOTE,
    "pictures have annotations, but none to train on",
    _PICTURES,
    "none, where their annotations are as they should be",
)
SMALL = Fault(
    "small_pictures",
    Severity.NOTE,
    "pictures have a side under datamodule.min_side",
    _PICTURES,
    "datamodule.min_side=1 trains on them",
)
NAMED = Fault(
    "left_out_by_name",
    Severity.NOTE,
    "pictures are named by datamodule.leave_out",
    "they are neither trained on nor judged",
    "none",
)
CROWD = Fault("crowd", Severity.NOTE, "annotations are crowds", _OBJECTS, "none")
IGNORED = Fault(
    "ignored", Severity.NOTE, "annotations are marked `ignore`", _OBJECTS, "none, if it is meant"
)
DEGENERATE = Fault(
    "degenerate_boxes",
    Severity.WARNING,
    "boxes are less than a pixel wide or high, or have no area",
    _ODD_BOXES,
    "remove them, or draw them anew",
)
OUTSIDE = Fault(
    "outside_boxes",
    Severity.WARNING,
    "boxes lie outside of their picture",
    _ODD_BOXES,
    "check that the box is [x, y, width, height] in pixels, and of this picture",
)
BEYOND = Fault(
    "boxes_beyond_the_edge",
    Severity.WARNING,
    "boxes reach more than a pixel beyond the edge of their picture",
    "a training cuts them at the edge",
    "check the annotated size of the picture, or draw them anew",
)


def left_out(data: Inspected) -> Iterator[Finding]:
    """Pictures of the training, then objects of both splits."""
    yield from _pictures(data.train)
    for split in data.splits:
        yield from _objects(split)


def _pictures(split: InspectedSplit) -> Iterator[Finding]:
    table, choice = split.table, split.selection.choice
    annotated = np.diff(table.offsets) > 0
    reasons = {
        NAMED: split.selection.named,
        EMPTY: ~annotated & (not choice.negatives),
        IGNORED_ALONE: annotated & ~split.selection.has_objects,
        SMALL: table.image_sizes.min(axis=1) < choice.min_side,
    }
    told = np.zeros(table.num_images, dtype=bool)
    for fault, which in reasons.items():
        yield from split.pictures_with(fault, which & ~told)
        told |= which


def _objects(split: InspectedSplit) -> Iterator[Finding]:
    table = split.table
    low, high = table.boxes[:, :2], table.boxes[:, :2] + table.boxes[:, 2:]
    limits = table.image_sizes[split.owners][:, ::-1]
    reasons = {
        CROWD: table.crowd,
        IGNORED: table.ignore,
        DEGENERATE: (table.boxes[:, 2:] < 1).any(axis=1) | (table.areas <= 0),
        OUTSIDE: ((high <= 0) | (low >= limits)).any(axis=1),
        BEYOND: ((low < -ROUNDING) | (high > limits + ROUNDING)).any(axis=1),
    }
    told = np.zeros(table.num_annotations, dtype=bool)
    for fault, which in reasons.items():
        yield from split.objects_with(fault, np.flatnonzero(which & ~told), len(told))
        told |= which
