"""Anchors that are chosen by the data, or by the detector to start from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bacl.checkpoints.conventions import stored_detector
from bacl.files.plain_values import select
from bacl.inspection import rules_of_thumb as rules
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.chosen import PAPER, Chosen
from bacl.inspection.facts import Facts
from bacl.messages.errors import require

ANCHORS = 8.0
"""The paper's (Sec. IV-B)."""


def anchor_scale(
    annotations: str,
    size: int,
    ratios: Sequence[float] | None,
    strides: Any,
    start: str | None = None,
    sides: Any = None,
) -> Chosen:
    """Side of anchors in strides; where there are `sides`, the detector has its own."""
    require("image_size", size, 1)
    if start is not None:
        stored = select(stored_detector(Path(start)), "rpn.anchors.scale")
        if isinstance(stored, int | float):
            return Chosen(stored, "of the detector to start from, whose boxes are told from it")
    facts = Facts.of(annotations)
    if start is not None or sides is not None:
        return Chosen(ANCHORS, f"{PAPER}: the detector, or that which it starts from, has its own")
    if facts is None or not len(facts.rows) or ratios is None:
        return Chosen(ANCHORS, PAPER)
    anchors = AnchorShapes.of(ANCHORS, list(ratios), list(strides))
    found, missed, least = rules.suitable_anchors(anchors, ANCHORS, facts.view(size), 1.0)
    told = f"of the objects have no anchor with an IoU of {rules.OVERLAP:g}"
    if found == ANCHORS:
        return Chosen(found, f"{PAPER}: {100 * missed:.1f} % {told}")
    return Chosen(found, f"{100 * least:.1f} % {told}, instead of {100 * missed:.1f} % at 8")
