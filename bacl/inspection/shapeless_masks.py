"""Masks that are only boxes, where masks are used."""

from collections.abc import Iterator

from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected

LEARNT = Fault(
    "masks_are_boxes",
    Severity.WARNING,
    "objects have no mask, or one that is a rectangle",
    "filled boxes are learnt and judged as masks",
    "draw masks, or take a detector without masks",
)
PASTED = Fault(
    "boxes_are_pasted",
    Severity.NOTE,
    "objects have no mask, or one that is a rectangle",
    "copy-paste pastes what is behind them, too",
    "augment@stages.representation.augment=scale_jitter does without it",
)


def shapeless_masks(data: Inspected) -> Iterator[Finding]:
    """A finding for each split whose masks are learnt and judged, or pasted."""
    for split in data.splits:
        if data.masks or (data.pastes and split.name == "train"):
            rows = split.objects[split.table.shapeless()[split.objects]]
            fault = LEARNT if data.masks else PASTED
            yield from split.objects_with(fault, rows, len(split.objects))
