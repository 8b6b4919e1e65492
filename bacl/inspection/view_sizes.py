"""Sizes of objects as the network gets them, as numbers for tables and figures."""

from typing import Any

import numpy as np

from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.view import View

EDGES = 2.0 ** np.arange(0, 12.5, 0.5)
"""Of the histogram: pixels of the square root of the area."""
LIMITS = (8, 16, 32)
"""Pixels below which objects are counted."""
OVERLAPS = (0.3, 0.5, 0.7)
"""IoU up to which objects are counted that no anchor reaches."""
CUT = (0.999, 0.5)
"""Shares of the object up to which it counts as cut; 0.999 rather than 1, as sides are rounded."""


def view_sizes(view: View, anchors: AnchorShapes | None) -> dict[str, Any]:
    """Numbers of a view: a histogram, and how many objects are small, cut or not reached."""
    lengths, frames = view.lengths[view.seen], view.frames.size
    sizes = frames[np.unique(view.owners)] if len(view.owners) else frames
    best = view.reached(anchors) if anchors is not None else None
    return {
        "name": view.name,
        "split": view.split,
        "objects": len(view.rows),
        "frame": {
            "median": np.median(sizes, axis=0).tolist(),
            "largest": sizes.max(axis=0).tolist(),
        },
        "length": dict(zip(("10%", "median", "90%"), _quantiles(lengths), strict=True)),
        "edges": EDGES.tolist(),
        "counts": np.histogram(lengths.clip(EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
        "below": {str(limit): int((lengths < limit).sum()) for limit in LIMITS},
        "cut": {str(share): int((view.shares < share).sum()) for share in CUT},
        "unreached": None
        if best is None
        else {str(overlap): int((best < overlap).sum()) for overlap in OVERLAPS},
    }


def _list(values: np.ndarray) -> list[float]:
    return values.tolist()


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, (0.1, 0.5, 0.9)).tolist() if len(values) else [0.0] * 3
