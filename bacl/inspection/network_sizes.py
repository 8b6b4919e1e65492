"""Objects that the chosen scale, canvas and anchors leave little of."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected
from bacl.inspection.view import View

LEAST = 8.0
"""Pixels of the square root of the area: two cells of the finest level."""
CUT = 0.5
"""Share of an object that has to lie on the canvas."""
OVERLAP = 0.5
"""IoU of the anchor that reaches an object."""
SOME, MANY = 0.05, 0.2
"""Shares of the objects from which on it is told, and is a warning."""

SMALL = Fault(
    "small_in_network",
    Severity.NOTE,
    f"objects come out smaller than {LEAST:g} x {LEAST:g} pixels",
    "the finest level of features has a cell for every 4 pixels",
    "a larger scale (short_sides of the stage's augment), or pictures cut into parts",
)
OFF_CANVAS = Fault(
    "cut_by_canvas",
    Severity.NOTE,
    "objects lie for more than half outside of the canvas, in one draw for each picture",
    "what is left of them is learnt as the object",
    "a smaller scale, or a larger canvas",
)
UNREACHED = Fault(
    "unreached_by_anchors",
    Severity.NOTE,
    f"objects have no anchor with an IoU of {OVERLAP:g}",
    "proposals have farther to go to them, and come seldom",
    "detector.rpn.anchors.scale=… (see the preset), or another scale of the pictures",
)


def network_sizes(data: Inspected) -> Iterator[Finding]:
    """A finding for each kind in each view where it concerns many objects."""
    for view in data.views:
        yield from _told(data, view, SMALL, view.seen & (view.lengths < LEAST))
        yield from _told(data, view, OFF_CANVAS, view.shares < CUT)
        if data.anchors is not None:
            unreached = np.zeros(len(view.rows), dtype=bool)
            unreached[view.seen] = view.reached(data.anchors) < OVERLAP
            yield from _told(data, view, UNREACHED, unreached)


def _told(data: Inspected, view: View, fault: Fault, which: np.ndarray) -> Iterator[Finding]:
    split, share = (
        data.val if view.split == "val" else data.train,
        which.mean() if len(which) else 0,
    )
    if share > SOME:
        severity = Severity.WARNING if share > MANY else Severity.NOTE
        told = replace(fault, severity=severity, what=f"{fault.what} ({view.name})")
        yield from split.objects_with(told, view.rows[which], len(which))
