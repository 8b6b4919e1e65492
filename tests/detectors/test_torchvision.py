"""torchvision's own detectors with random weights compute the same as ours through the key map."""

from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from torchvision.models import detection as torchvision_detection
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from bacl.assembly.build import build_stage
from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.detector_start import DetectorStart
from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.checkpoints.torchvision_file import is_torchvision, torchvision_detector
from bacl.data.collate import collate
from bacl.runs.carried_rows import carried_rows
from bacl.stages.detection import detect
from tests.detectors.conftest import CONF, build, target

NAMES = ("ant", "bee", "cat", "dog", "emu", "fox")
OURS = ("fox", "bee", "ant", "emu", "dog", "cat")
PAIRS = {
    "torchvision_faster_rcnn_r50": ("fasterrcnn_resnet50_fpn", 0.0),
    "torchvision_faster_rcnn_r50_v2": ("fasterrcnn_resnet50_fpn_v2", None),
    "torchvision_faster_rcnn_mobilenet_v3": ("fasterrcnn_mobilenet_v3_large_fpn", 1e-5),
    "torchvision_mask_rcnn_r50": ("maskrcnn_resnet50_fpn", 0.0),
}
SIZES = ((64, 75), (50, 96))
"""Of pictures: padded to 64 by 96, so the map of stride 64 has 1 by 2 cells, of 48 columns each."""
FEW = {"per_level": 60, "total": 80}


def theirs(kind: str, eps: float | None) -> nn.Module:
    """torchvision's model, built as for its published weights, with other random numbers."""
    few = {"rpn_pre_nms_top_n_test": FEW["per_level"], "rpn_post_nms_top_n_test": FEW["total"]}
    make = getattr(torchvision_detection, kind)
    model = make(weights=None, num_classes=len(NAMES) + 1, **few, weights_backbone=None)
    _scramble(model)
    if eps is not None:  # what torchvision does where it has weights
        _freeze_norms(model, eps)
    return model.eval().double()


@torch.no_grad()
def _scramble(model: nn.Module) -> None:
    """Weights with which all numbers are about 1, and norms whose statistics are none but real."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = 1.0
    features = model.backbone.train()(torch.randn(2, 3, 64, 96))
    for layer in (*model.rpn.head.modules(), *model.roi_heads.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
    mask_head = getattr(model.roi_heads, "mask_head", None)
    for part in filter(None, (model.rpn.head.conv, model.roi_heads.box_head, mask_head)):
        first = next(each for each in part.modules() if isinstance(each, nn.Conv2d | nn.Linear))
        first.weight.div_(torch.cat([x.flatten() for x in features.values()]).std())
    # Boxes that stay inside of the picture, scores that sigmoids and softmax tell apart.
    model.rpn.head.bbox_pred.weight.mul_(0.2)
    model.roi_heads.box_predictor.cls_score.weight.mul_(0.2)


def _freeze_norms(model: nn.Module, eps: float) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                frozen = FrozenBatchNorm2d(child.num_features, eps)
                frozen.load_state_dict(child.state_dict())
                setattr(module, name, frozen)


def ours(option: str, model: nn.Module) -> tuple:
    """Our detector and head, filled from torchvision's tensors by names of categories."""
    options = [
        f"detector={option}", "head=cross_entropy", "pipeline=end_to_end",
        f"data.num_classes={len(OURS)}", f"detector.rpn.inference={FEW}".replace("'", ""),
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=options)
    stage = build_stage(config, "end_to_end", pretrained=False).eval()
    file = PublishedFile(CONF, dict(model.state_dict()), None)
    assert is_torchvision(file)
    trained = replace(torchvision_detector(file), names=NAMES)
    match = CategoryMatch.of(OURS, NAMES)
    start = DetectorStart.of(stage.detector, trained, match)
    assert not start.left_out
    assert not start.lacking
    stage.detector.load_state_dict(stage.detector.state_dict() | start.state)
    (head,) = stage.live_heads.values()
    carried = carried_rows("any", head, trained, match)
    assert not carried.without
    carried.load()
    detector = stage.detector.double()
    for part in (detector.rpn.anchors, detector.rpn.coder, detector.box_regression.coder):
        part.float()  # boxes are float32 whatever the network computes in
    return detector, {"any": head.double()}


def pictures() -> list[torch.Tensor]:
    """uint8, coarse enough to make features differ."""
    coarse = [torch.rand(1, 3, 8, 8) for _ in SIZES]
    grown = [nn.functional.interpolate(x, size) for x, size in zip(coarse, SIZES, strict=True)]
    return [(x[0] * 255).round().byte() for x in grown]


def same(first, second, tolerance=1e-4):
    torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)


# The Mask R-CNN is the first of them with a mask branch; what the second has of its own, the tests
# of its parts see.
SLOW = tuple(name for name in PAIRS if "_r50" in name)
MARKED = [pytest.param(x, marks=[pytest.mark.slow] if x in SLOW else []) for x in PAIRS]


@pytest.mark.parametrize("option", MARKED)
@torch.no_grad()
def test_features_proposals_and_detections(option):
    model = theirs(*PAIRS[option])
    detector, heads = ours(option, model)
    images = pictures()
    batch = collate([(x, target([], [], size)) for x, size in zip(images, SIZES, strict=True)])
    normalised = [model.transform.normalize(x.double() / 255) for x in images]
    padded = model.transform.batch_images(normalised, 32)
    same(batch.images.double(), padded, 1e-5)
    batch.images = padded
    features = model.backbone(padded)
    pyramid = detector.pyramid(padded)
    for own, each in zip(pyramid, features.values(), strict=True):
        same(own, each, 1e-9)
    proposals, _ = model.rpn(ImageList(padded, list(SIZES)), features)
    own = detector.rpn.proposals(pyramid, batch.sizes)
    for boxes, each in zip(own.boxes, proposals, strict=True):
        assert len(each) > 5
        same(boxes.double(), each)
    found, _ = model.roi_heads(features, proposals, list(SIZES))
    given = detect(detector, heads, batch)
    (given,) = given.values()
    for detections, each in zip(given, found, strict=True):
        assert len(each["scores"]) > 2
        names = [NAMES[label - 1] for label in each["labels"]]
        assert [OURS[label] for label in detections.labels] == names
        same(detections.scores.double(), each["scores"])
        same(detections.boxes.double(), each["boxes"], 1e-3)
    if detector.mask is not None:
        boxes = [each["boxes"] for each in found]
        labels = torch.cat([each.labels for each in given])
        masks = detector.mask.probabilities(pyramid, boxes, labels)
        same(masks.double(), torch.cat([each["masks"] for each in found])[:, 0])


def test_numbers_are_torchvisions():
    model = torchvision_detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None
    )
    detector = build("torchvision_faster_rcnn_mobilenet_v3")
    rpn, heads = model.rpn, model.roi_heads
    for selection, mode in ((detector.rpn.training_selection, "training"),
                            (detector.rpn.inference_selection, "testing")):  # fmt: skip
        assert selection.per_level == rpn._pre_nms_top_n[mode]
        assert selection.total == rpn._post_nms_top_n[mode]
        assert (selection.nms_iou, selection.min_side) == (rpn.nms_thresh, rpn.min_size)
    for matcher, their in ((detector.rpn.matcher, rpn), (detector.sampler.matcher, heads)):
        assert matcher.positive == their.proposal_matcher.high_threshold
        assert matcher.negative == their.proposal_matcher.low_threshold
        assert (matcher.low_quality is not None) == their.proposal_matcher.allow_low_quality_matches
    for sampler, their in ((detector.rpn.sampler, rpn), (detector.sampler.sampler, heads)):
        assert sampler.count == their.fg_bg_sampler.batch_size_per_image
        assert sampler.positive_fraction == their.fg_bg_sampler.positive_fraction
    rule = detector.postprocess
    assert (rule.score_threshold, rule.max_detections) == (
        heads.score_thresh, heads.detections_per_img
    )  # fmt: skip
    assert rule.tolerated_iou == heads.nms_thresh
    for coder, their in ((detector.rpn.coder, rpn), (detector.box_regression.coder, heads)):
        same((1 / coder.stds), torch.tensor(their.box_coder.weights), 1e-6)
