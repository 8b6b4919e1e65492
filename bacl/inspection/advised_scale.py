"""Advice on what the network gets to see: the scale of the pictures, and anchors."""

import numpy as np

from bacl.inspection.advice import Advice, Setting
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.inspected import Inspected
from bacl.inspection.view import View

LARGE = 400
"""Pixels of the median short side from which on pictures are scaled as the paper's."""
PAPERS_SIDE, PAPERS_LIMIT = 800, 1333
OWN_SIDE = 256
"""Of conf/augment/own_size.yaml."""
LIKE = 1.5
"""Factor within which a scale does as well as another."""
VISIBLE = 16.0
"""Pixels that three of four objects are to have, as far as the paper's size gives it."""
OVERLAP, GAIN = 0.5, 0.02
"""IoU that an anchor is to have, and the share of objects that is worth other anchors."""
SAMPLE = 20_000
"""Objects that anchors are tried on."""


def scale_advice(data: Inspected) -> tuple[Advice, float]:
    """The scale in each stage, and the short side that pictures then have."""
    split = data.train
    own = float(np.median(split.table.image_sizes[split.used].min(axis=1)))
    wanted = _wanted_side(data, own)
    views = [view for view in data.views if view.split == "train"]
    told = f"pictures have a short side of {own:.0f} pixels in the middle"
    away = [view for view in views if not 1 / LIKE <= _side(view) / wanted <= LIKE]
    if not away:
        kept = " and ".join(f"{_side(view):.0f}" for view in views)
        return Advice("scale", (), f"kept: {told}, in the network {kept}"), wanted
    stages = [stage for view in away for stage in view.name.split(", ")]
    overrides = [override for stage in stages for override in _resize(stage, wanted)]
    return Advice("scale", tuple(overrides), f"{told}; {wanted:.0f} suits them"), wanted


def _side(view: View) -> float:
    """The median short side of the pictures in the network."""
    return float(np.median(view.frames.size.min(axis=1)))


def _wanted_side(data: Inspected, own: float) -> float:
    if own >= LARGE:
        return float(PAPERS_SIDE)
    boxes = data.train.table.boxes[data.train.objects, 2:]
    quarter = float(np.quantile(np.sqrt(boxes.prod(axis=1)), 0.25)) if len(boxes) else VISIBLE
    factor = min(max(1.0, VISIBLE / max(quarter, 1)), PAPERS_SIDE / own)
    return max(32.0, 16 * round(own * factor / 16))


def _resize(stage: str, side: float) -> list[str]:
    """Overrides that give a stage's pictures this short side."""
    path = f"stages.{stage}.augment"
    if side >= PAPERS_SIDE:
        return [f"augment@{path}=scale_jitter"]
    chosen = [f"augment@{path}=own_size"]
    if abs(side - OWN_SIDE) <= 16:
        return chosen
    drawn = sorted({int(16 * round(side * share / 16)) for share in (7 / 8, 15 / 16, 1)})
    sides = ",".join(map(str, drawn))
    limit = int(side * PAPERS_LIMIT / PAPERS_SIDE)
    resize = "_target_:bacl.data.augmentation.transforms.ResizeShortSide"
    mirror = "{_target_:torchvision.transforms.v2.RandomHorizontalFlip,p:0.5}"
    return [
        *chosen,
        f"{path}.train.transforms=[{{{resize},short_sides:[{sides}],max_size:{limit}}},{mirror}]",
        f"{path}.test.short_sides=[{int(side)}]",
        f"{path}.test.max_size={limit}",
    ]


def anchor_advice(data: Inspected, setting: Setting, side: float) -> Advice:
    """The scale of anchors with which fewest objects have none.

    Args:
        data: what was inspected.
        setting: what is configured.
        side: pixels of the short side that pictures are to have.
    """
    view, now = data.views[0], setting.anchor_scale
    if data.anchors is None or now is None:
        return Advice("anchors", (), "the detector has none to choose")
    scales = sorted({2.0, 4.0, 8.0, 16.0, now})
    missed = {each: _missed(data.anchors.scaled(each / now), view, side) for each in scales}
    best = min(scales, key=lambda scale: missed[scale])
    told = f"of the objects have no anchor with an IoU of {OVERLAP:g}"
    if missed[now] - missed[best] <= GAIN:
        return Advice("anchors", (), f"kept: {100 * missed[now]:.1f} % {told}")
    reason = f"{100 * missed[best]:.1f} % {told}, instead of {100 * missed[now]:.1f} %"
    return Advice("anchors", (f"detector.rpn.anchors.scale={best:g}",), reason)


def _missed(anchors: AnchorShapes, view: View, side: float) -> float:
    """Share of the objects without an anchor, at the short side that pictures are to have."""
    chosen = np.flatnonzero(view.seen)
    if not len(chosen):
        return 0.0
    chosen = chosen[:: max(1, len(chosen) // SAMPLE)]
    factor = side / _side(view)
    factor = 1.0 if 1 / LIKE <= factor <= LIKE else factor
    sizes = factor * view.frames.size[view.owners[chosen]]
    return float((anchors.best_overlaps(factor * view.boxes[chosen], sizes) < OVERLAP).mean())
