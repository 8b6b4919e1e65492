"""Names of tensors in MMDetection's checkpoints (2.0 and later) and in ours, as data.

Ours are those of `detector.*` and of one classifier head, `head.*`. The rows on FCBL and feature
hallucination are those of the paper's release, a fork of MMDetection 2.8.
"""

import re
from collections.abc import Iterable

ROWS = (
    ("backbone.*", "detector.backbone.*"),
    ("neck.lateral_convs.#.conv.*", "detector.fpn.lateral.#.*"),
    ("neck.fpn_convs.#.conv.*", "detector.fpn.output.#.*"),
    ("rpn_head.rpn_conv.*", "detector.rpn.head.conv.*"),
    ("rpn_head.rpn_cls.*", "detector.rpn.head.objectness.*"),
    ("rpn_head.rpn_reg.*", "detector.rpn.head.deltas.*"),
    ("roi_head.bbox_head.shared_fcs.#.*", "detector.box_head.shared_fcs.#.*"),
    ("roi_head.bbox_head.fc_reg.*", "detector.box_regression.fc.*"),
    ("roi_head.bbox_head.fc_cls.*", "head.predictor.*"),
    ("roi_head.bbox_head.loss_cls.cm_numerator", "head.criterion.indicator.numerator"),
    ("roi_head.bbox_head.loss_cls.num_gt", "head.criterion.indicator.counts"),
    ("roi_head.bbox_head.feature_prototype", "head.hallucination.prototypes"),
    ("roi_head.bbox_head.feature_variance", "head.hallucination.variances"),
    ("roi_head.bbox_head.feature_used", "head.hallucination.seen"),
)
"""(theirs, ours): `#` stands for the same number on both sides, `*` for the same rest. Shapes and
the order of classes (background last) and of deltas agree, so nothing but names is converted."""

OPTIONAL = ("detector.*.num_batches_tracked",)
"""Ours that a file may lack: the module keeps its own value. Old files have none of them."""

OURS_ALONE = ("head.hallucination._extra_state",)
"""Ours that no published file has: how often features were drawn, which seeds the next draw."""

CLASSIFIER = "roi_head.bbox_head.fc_cls.weight"
"""(logits, D)."""
REGRESSION = "roi_head.bbox_head.fc_reg.weight"
"""(4 C, D), or (4, D) where all classes share one regression."""
HEADS = (
    ("roi_head.bbox_head.feature_prototype", 1, ("bacl",)),
    ("roi_head.bbox_head.loss_cls.cm_numerator", 1, ("fcbl",)),
    (CLASSIFIER, 1, ("cross_entropy", "bce_objectness")),
    (CLASSIFIER, 0, ("bce",)),
)
"""(name that a file holds, its logits less its categories, the options of `head` that it fits); the
first row that holds counts. Tensors do not tell softmax from sigmoids."""


def our_name(published: str) -> str | None:
    """Our name of a tensor in MMDetection's file; None where we have no such part."""
    return _renamed(published, ROWS)


def published_name(ours: str) -> str | None:
    """MMDetection's name of one of our tensors; None where it has no such part."""
    return _renamed(ours, ((mine, theirs) for theirs, mine in ROWS))


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of several patterns of `ROWS`' kind."""
    return any(re.fullmatch(_expression(pattern), name) for pattern in patterns)


def _renamed(name: str, rows: Iterable[tuple[str, str]]) -> str | None:
    for source, goal in rows:
        if found := re.fullmatch(_expression(source), name):
            parts = iter(found.groups())
            return re.sub(r"[#*]", lambda _: next(parts), goal)
    return None


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
