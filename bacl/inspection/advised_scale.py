"""Advice on what the network gets to see: the scale of the pictures, and anchors."""

import numpy as np

from bacl.inspection.advice import Advice, Setting
from bacl.inspection.inspected import Inspected
from bacl.inspection.rules_of_thumb import (
    LIKE,
    OVERLAP,
    PAPERS_LIMIT,
    PAPERS_SIDE,
    suitable_anchors,
    suitable_short_side,
)
from bacl.inspection.view import View

OWN_SIDE = 256
"""Of conf/augment/own_size.yaml."""


def scale_advice(data: Inspected) -> tuple[Advice, float]:
    """The scale in each stage, and the short side that pictures then have."""
    split = data.train
    own = float(np.median(split.table.image_sizes[split.used].min(axis=1)))
    wanted = suitable_short_side(own, data.train.table.boxes[data.train.objects, 2:])
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
    factor = side / _side(view)
    factor = 1.0 if 1 / LIKE <= factor <= LIKE else factor
    best, missed, least = suitable_anchors(data.anchors, now, view, factor)
    told = f"of the objects have no anchor with an IoU of {OVERLAP:g}"
    if best == now:
        return Advice("anchors", (), f"kept: {100 * missed:.1f} % {told}")
    reason = f"{100 * least:.1f} % {told}, instead of {100 * missed:.1f} %"
    return Advice("anchors", (f"detector.rpn.anchors.scale={best:g}",), reason)
