"""Names of tensors in the files of torchvision's detectors and in ours, as data.

Ours are those of a detector, and of the linear layer of its only level. Older files, among them
those that torchvision serves, name some layers by a shorter path; both are here.
"""

ROWS = (
    ("backbone.body.conv1.*", "backbone.conv1.*"),
    ("backbone.body.bn1.*", "backbone.bn1.*"),
    ("backbone.body.layer#.*", "backbone.layer#.*"),
    ("backbone.body.#.*", "backbone.features.#.*"),  # MobileNetV3
    ("backbone.fpn.inner_blocks.#.weight", "fpn.lateral.#.weight"),
    ("backbone.fpn.inner_blocks.#.bias", "fpn.lateral.#.bias"),
    ("backbone.fpn.layer_blocks.#.weight", "fpn.output.#.weight"),
    ("backbone.fpn.layer_blocks.#.bias", "fpn.output.#.bias"),
    ("backbone.fpn.inner_blocks.#.0.*", "fpn.lateral.#.*"),
    ("backbone.fpn.layer_blocks.#.0.*", "fpn.output.#.*"),
    ("backbone.fpn.inner_blocks.#.1.*", "fpn.lateral_norms.#.*"),
    ("backbone.fpn.layer_blocks.#.1.*", "fpn.output_norms.#.*"),
    ("rpn.head.conv.0.0.*", "rpn.head.conv.*"),
    ("rpn.head.conv.1.0.*", "rpn.head.more.0.*"),
    ("rpn.head.conv.weight", "rpn.head.conv.weight"),
    ("rpn.head.conv.bias", "rpn.head.conv.bias"),
    ("rpn.head.cls_logits.*", "rpn.head.objectness.*"),
    ("rpn.head.bbox_pred.*", "rpn.head.deltas.*"),
    ("roi_heads.box_head.fc6.*", "box_head.shared_fcs.0.*"),
    ("roi_heads.box_head.fc7.*", "box_head.shared_fcs.1.*"),
    ("roi_heads.box_head.#.0.*", "box_head.convs.#.*"),
    ("roi_heads.box_head.#.1.*", "box_head.norms.#.*"),
    ("roi_heads.box_head.5.*", "box_head.shared_fcs.0.*"),  # behind four convolutions and a flatten
    ("roi_heads.box_predictor.bbox_pred.*", "box_regression.fc.*"),
    ("roi_heads.mask_head.#.0.*", "mask.head.convs.#.*"),
    *((f"roi_heads.mask_head.mask_fcn{n + 1}.*", f"mask.head.convs.{n}.*") for n in range(4)),
    ("roi_heads.mask_predictor.conv5_mask.*", "mask.head.upsample.*"),
    ("roi_heads.mask_predictor.mask_fcn_logits.*", "mask.head.predictor.*"),
)
"""(theirs, ours), see `bacl.checkpoints.names`. Shapes agree but for the classes: theirs have
background as the first one, also in box regression and masks, where ours have none."""

CLASSIFIER = "roi_heads.box_predictor.cls_score."
"""Begins the names of the linear layer: weight (C + 1, D) and bias (C + 1,), softmax."""
OF_CLASSES = ("box_regression.fc.", "mask.head.predictor.")
"""Begin our names of what has rows of each class: four of box regression, one of masks."""

DETECTORS = (
    ("roi_heads.mask_predictor.mask_fcn_logits.weight", "torchvision_mask_rcnn_r50"),
    ("roi_heads.box_head.5.weight", "torchvision_faster_rcnn_r50_v2"),
    ("backbone.body.16.0.weight", "torchvision_faster_rcnn_mobilenet_v3"),
    ("backbone.body.layer3.5.conv1.weight", "torchvision_faster_rcnn_r50"),
)
"""(name that a file holds, the option of `detector` that takes all of it); the first counts."""
