"""Names of tensors in MMDetection's checkpoints (2.0 and later) and in ours, as data.

Ours are those of `detector.*` and of one classifier head, `head.*`. The rows on FCBL and feature
hallucination are those of the paper's release, a fork of MMDetection 2.8.
"""

from bacl.checkpoints.names import renamed

CASCADE = ("first", "second", "third")
"""Our names of a cascade's levels, which MMDetection numbers."""


def _box_rows(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Rows of a box head, of the only one or of a cascade's level."""
    published = f"roi_head.bbox_head.{theirs}"
    return (
        (f"{published}shared_fcs.#.*", f"detector.box_head.{ours}shared_fcs.#.*"),
        (f"{published}fc_reg.*", f"detector.box_regression.{ours}fc.*"),
        (f"{published}fc_cls.*", f"head.{ours}predictor.*"),
        (f"{published}loss_cls.cm_numerator", f"head.{ours}criterion.indicator.numerator"),
        (f"{published}loss_cls.num_gt", f"head.{ours}criterion.indicator.counts"),
        (f"{published}feature_prototype", f"head.{ours}hallucination.prototypes"),
        (f"{published}feature_variance", f"head.{ours}hallucination.variances"),
        (f"{published}feature_used", f"head.{ours}hallucination.seen"),
    )


ROWS = (
    # Of a ResNet: what other backbones call their layers is not MMDetection's name of them.
    ("backbone.conv1.*", "detector.backbone.conv1.*"),
    ("backbone.bn1.*", "detector.backbone.bn1.*"),
    ("backbone.layer#.*", "detector.backbone.layer#.*"),
    ("neck.lateral_convs.#.conv.*", "detector.fpn.lateral.#.*"),
    ("neck.fpn_convs.#.conv.*", "detector.fpn.output.#.*"),
    ("rpn_head.rpn_conv.*", "detector.rpn.head.conv.*"),
    ("rpn_head.rpn_cls.*", "detector.rpn.head.objectness.*"),
    ("rpn_head.rpn_reg.*", "detector.rpn.head.deltas.*"),
    *_box_rows("", ""),
    *(row for n, name in enumerate(CASCADE) for row in _box_rows(f"{n}.", f"{name}.")),
    ("roi_head.mask_head.convs.#.conv.*", "detector.mask.head.convs.#.*"),
    ("roi_head.mask_head.upsample.*", "detector.mask.head.upsample.*"),
    ("roi_head.mask_head.conv_logits.*", "detector.mask.head.predictor.*"),
)
"""(theirs, ours): `#` stands for the same number on both sides, `*` for the same rest. Shapes and
the order of classes (background last) and of deltas agree, so nothing but names is converted."""

OPTIONAL = ("detector.*.num_batches_tracked",)
"""Ours that a file may lack: the module keeps its own value. Old files have none of them."""

OURS_ALONE = ("head.*_extra_state", "head.*calibration.*")
"""Ours that no published file has: how often features were drawn, which seeds the next draw; and
what a calibration has gathered of a finished classifier."""

FIRST_HEADS = ("roi_head.bbox_head.", "roi_head.bbox_head.0.")
"""Where the first, or only, box head's names begin."""
CLASSIFIER = "fc_cls.weight"
"""(logits, D)."""
REGRESSION = "fc_reg.weight"
"""(4 C, D), or (4, D) where all classes share one regression."""
HEADS = (
    ("feature_prototype", 1, ("bacl",)),
    ("loss_cls.cm_numerator", 1, ("fcbl",)),
    (CLASSIFIER, 1, ("cross_entropy", "bce_objectness", "eqlv2")),
    (CLASSIFIER, 0, ("bce",)),
    (CLASSIFIER, 2, ("seesaw",)),
)
"""(name that a box head holds, its logits less its categories, the options of `head` that it fits);
the first row that holds counts. Tensors do not tell softmax from sigmoids."""


def our_name(published: str) -> str | None:
    """Our name of a tensor in MMDetection's file; None where we have no such part."""
    return renamed(published, ROWS)


def published_name(ours: str) -> str | None:
    """MMDetection's name of one of our tensors; None where it has no such part."""
    return renamed(ours, ((mine, theirs) for theirs, mine in ROWS))
