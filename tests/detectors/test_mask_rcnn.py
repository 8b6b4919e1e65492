"""A mask branch on a detector: what trains, what it costs, what it gives."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn import functional as F

from bacl.data.batch import Detections
from bacl.data.mask_edges import MaskEdges
from bacl.detectors import mask_branch
from bacl.detectors.mask_head import NormalisedMaskPredictor, PlainMaskPredictor
from bacl.detectors.matching import SampledRoIs
from bacl.messages.errors import OptionError

LVIS_05, LVIS_1 = 1230, 1203


def count(detector, classes, trained_only=False):
    """Parameters with a linear classifier of `classes` and background."""
    parameters = [p for p in detector.parameters() if p.requires_grad or not trained_only]
    return sum(p.numel() for p in parameters) + (detector.feature_dim + 1) * (classes + 1)


@pytest.mark.parametrize(
    ("name", "classes", "total", "second_stage"),
    [
        ("mask_rcnn_r50", LVIS_05, 50_585_636, 9_837_540),
        ("mask_rcnn_r50", LVIS_1, 50_440_322, 9_692_226),
        ("mask_rcnn_r101", LVIS_05, 69_577_764, 9_837_540),
        ("mask_rcnn_r101", LVIS_1, 69_432_450, 9_692_226),
    ],
)
def test_parameter_counts_of_the_published_code(build, name, classes, total, second_stage):
    detector = build(name, num_classes=classes)
    assert count(detector, classes) == total
    assert total - count(detector, classes, trained_only=True) == 225_344
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)
    assert count(detector, classes, trained_only=True) == second_stage


def test_the_predictor_is_an_option(build):
    assert isinstance(build("mask_small").mask.head.predictor, NormalisedMaskPredictor)
    plain = build("mask_small", "mask_predictor@detector.mask.head.predictor=plain")
    assert type(plain.mask.head.predictor) is PlainMaskPredictor


def test_other_detectors_have_no_branch(build):
    detector = build("small")
    assert detector.mask is None
    assert not [name for name in detector.state_dict() if "mask" in name]
    found = [nothing()]
    assert detector.segment((), found, []) is found


@pytest.fixture(scope="module")
def small(build):
    return build("mask_small")


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 128)


@pytest.fixture
def targets(target):
    first = target([[10.0, 10, 40, 50], [60, 20, 90, 45]], [3, 7], (96, 128))
    both = [first, target([[5.0, 5, 30, 30]], [29], (90, 100))]
    for each in both:
        masks = torch.zeros(len(each.boxes), 96, 128, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, each.boxes.int(), strict=True):
            mask[top:bottom, left : (left + right) // 2] = True
        each.masks = MaskEdges.of_bitmaps(masks)
    return both


def nothing():
    return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def step(detector, images, targets, frozen=False):
    detector.train()
    detector.zero_grad()
    with torch.set_grad_enabled(not frozen):
        pyramid = detector.pyramid(images)
    return pyramid, detector.training_regions(pyramid, targets)


def test_a_training_step(small, images, targets):
    _, regions = step(small, images, targets)
    assert set(regions.losses) == {"rpn_objectness", "rpn_box", "box", "mask"}
    assert regions.losses["mask"] > 0
    (sum(regions.losses.values()) + regions.levels[0].features.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())
    assert small.mask.head.convs[0].weight.grad.any()


def test_the_loss_by_a_loop(small, images, targets):
    with torch.no_grad():
        pyramid = small.pyramid(images)
    rois = small.sampler([torch.zeros(0, 4)] * 2, targets, small.num_classes)
    loss = small.mask.loss(pyramid, rois, targets)
    parts = []
    for image, target in enumerate(targets):
        for number, (box, label) in enumerate(zip(target.boxes, target.labels, strict=True)):
            roi = torch.cat((torch.tensor([float(image)]), box))[None]
            logits = small.mask.head(small.mask.pooling(pyramid, roi), label[None])
            truth = mask_branch.mask_targets(
                [box[None]], [torch.tensor([number])], targets[image : image + 1], 28
            )
            parts.append(F.binary_cross_entropy_with_logits(logits, truth))
    assert loss.item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-4)


def test_a_frozen_pyramid_gets_no_gradient_and_none_is_computed(build, images, targets):
    detector = build("mask_small")
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)
    pooled = []
    detector.mask.pooling.register_forward_hook(
        lambda module, inputs, output: pooled.append(output)
    )
    _, regions = step(detector, images, targets, frozen=True)
    assert not pooled[0].requires_grad
    sum(regions.losses.values()).backward()
    trained = {name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None}
    assert trained == {"rpn", "box_regression", "mask"}
    assert all(p.grad.any() for p in detector.mask.parameters() if p.dim() > 1)


def test_freezing_changes_neither_the_loss_nor_the_branchs_gradients(build, images, targets):
    detector = build("mask_small", "detector.backbone.norm_eval=true")
    seen = []
    for frozen in (False, True):
        torch.manual_seed(1)
        _, regions = step(detector, images, targets, frozen=frozen)
        regions.losses["mask"].backward()
        seen.append([p.grad.clone() for p in detector.mask.parameters()])
        if not frozen:
            assert detector.backbone.conv1.weight.grad.any()
    for learning, frozen in zip(*seen, strict=True):
        torch.testing.assert_close(learning, frozen, rtol=1e-4, atol=1e-6)


def test_the_branch_changes_nothing_of_the_rest(build, images, targets):
    with_masks, without = build("mask_small"), build("small")
    without.load_state_dict(with_masks.state_dict(), strict=False)
    regions = []
    for detector in (with_masks, without):
        torch.manual_seed(2)
        regions.append(step(detector, images, targets)[1])
    assert torch.equal(regions[0].levels[0].features, regions[1].levels[0].features)
    assert torch.equal(regions[0].losses["box"], regions[1].losses["box"])


def test_images_without_objects_have_zero_loss_and_a_graph(small, images, target):
    empty = [target([], [], (96, 128)), target([], [], (96, 128))]
    for each in empty:
        each.masks = MaskEdges.none((96, 128))
    _, regions = step(small, images, empty)
    assert regions.losses["mask"] == 0
    regions.losses["mask"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in small.mask.parameters())


def test_missing_masks_are_told(small, images, targets):
    targets[1].masks = None
    with pytest.raises(OptionError, match=r"datamodule\.load_masks"):
        step(small, images, targets)


def test_the_loss_is_float32_under_autocast(small, images, targets):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, regions = step(small, images, targets)
    assert regions.losses["mask"].dtype == torch.float32
    regions.losses["mask"].backward()


def test_masks_learn_the_left_halves_of_boxes(build, images, targets):
    torch.manual_seed(0)
    branch = build("mask_small").mask
    pyramid = [torch.randn(2, 64, 96 // stride, 128 // stride) for stride in (4, 8, 16, 32, 64)]
    optimizer = torch.optim.Adam(branch.parameters(), lr=3e-3)
    boxes = [target.boxes for target in targets]
    labels = torch.cat([target.labels for target in targets])
    objects = [torch.arange(len(target.boxes)) for target in targets]
    rois = SampledRoIs(
        boxes,
        labels,
        torch.cat(objects),
        torch.cat(boxes),
        torch.zeros_like(labels),
        [torch.tensor([0, 1]), torch.tensor([2])],
    )
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = branch.loss(pyramid, rois, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    scores = torch.full((len(labels),), 0.9)
    found = [
        Detections(target.boxes, part, target.labels)
        for target, part in zip(targets, scores.split([2, 1]), strict=True)
    ]
    segmented = branch.segment(pyramid, found, targets)
    for each, target in zip(segmented, targets, strict=True):
        height, width = target.size
        masks = target.masks.bitmaps()[:, :height, :width]
        truth = np.asfortranarray(masks.permute(1, 2, 0).byte().numpy())
        overlap = coco_mask.iou(each.masks, coco_mask.encode(truth), [0] * len(truth[0, 0]))
        assert (np.diag(overlap) > 0.8).all()


def test_masks_are_in_the_size_of_the_original_picture(small, images, targets):
    targets[0].original_size = (48, 256)
    with torch.no_grad():
        pyramid = small.pyramid(images)
    found = [
        Detections(target.boxes, torch.ones(len(target.boxes)), target.labels) for target in targets
    ]
    segmented = small.segment(pyramid, found, targets)
    assert [mask["size"] for mask in segmented[0].masks] == [[48, 256]] * 2
    assert segmented[0].rescaled(targets[0]).masks is segmented[0].masks
    # What shows lies in the detection's box, half its height and twice its width here.
    for mask, box in zip(segmented[0].masks, targets[0].to_original(found[0].boxes), strict=True):
        rows, columns = coco_mask.decode(mask).nonzero()
        left, top, right, bottom = box.tolist()
        if len(rows):
            assert top - 1 <= rows.min() <= rows.max() <= bottom + 1
            assert left - 2 <= columns.min() <= columns.max() <= right + 2


def test_images_without_detections_and_bunches(small, images, targets, monkeypatch):
    with torch.no_grad():
        pyramid = small.pyramid(images)
    found = Detections(targets[0].boxes, torch.ones(2), targets[0].labels)
    together = small.segment(pyramid, [found, nothing()], targets)
    assert [len(each.masks) for each in together] == [2, 0]
    assert small.segment(pyramid, [nothing(), nothing()], targets)[0].masks == []
    monkeypatch.setattr(mask_branch, "ROIS_AT_ONCE", 1)
    assert small.segment(pyramid, [found, nothing()], targets)[0].masks == together[0].masks
