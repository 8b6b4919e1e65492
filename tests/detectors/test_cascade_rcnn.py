import math

import pytest
import torch

from bacl.detectors.boxes import BoxCoder, pairwise_iou
from bacl.detectors.levels import ExtraBoxes
from bacl.detectors.matching import RoISampler
from bacl.detectors.proposals import Proposals
from bacl.heads import Classifier, Head
from bacl.losses import SoftmaxCrossEntropy
from bacl.speed.work import count_multiply_adds

LEVELS = ("first", "second", "third")
IOUS = (0.5, 0.6, 0.7)
WEIGHTS = (1.0, 0.5, 0.25)
STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
NARROW = ("detector.backbone.width=8", "detector.backbone.norm_eval=true")
SIZES = [(96, 128), (90, 100)]


@pytest.fixture(scope="module")
def cascade(build):
    return build("cascade_small", *NARROW)


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 128)


@pytest.fixture
def targets(target):
    first = target([[10.0, 10, 40, 50], [60, 20, 90, 45]], [3, 7], SIZES[0])
    return [first, target([[5.0, 5, 30, 30]], [29], SIZES[1])]


EXTRA = "a head"


def step(detector, images, targets, extra=None, frozen=False):
    detector.train()
    detector.zero_grad()
    with torch.set_grad_enabled(not frozen):
        pyramid = detector.pyramid(images)
    asked = {} if extra is None else {EXTRA: ExtraBoxes(extra, torch.arange(sum(map(len, extra))))}
    return detector.training_regions(pyramid, targets, asked)


def with_proposals(detector, monkeypatch, *boxes):
    """The proposals of every image, in training and inference, from now on."""
    images = [torch.tensor(image).reshape(-1, 4) for image in boxes]
    proposals = Proposals(images, [torch.full((len(image),), 0.5) for image in images])
    monkeypatch.setattr(detector.rpn, "_select", lambda *args: proposals)


def with_deltas(detector, monkeypatch, **deltas):
    """Every box moves by these deltas, by stage; by none where a stage is not named."""
    for name, regression in detector.box_regression.items():
        shift = torch.tensor(deltas.get(name, (0.0, 0, 0, 0)))
        monkeypatch.setattr(
            regression, "forward", lambda features, shift=shift: shift.expand(len(features), 4)
        )


def sampled(monkeypatch):
    """A list that fills with the RoIs that every stage samples, in order."""
    calls = []

    def spy(self, *args, original=RoISampler.__call__):
        calls.append(original(self, *args))
        return calls[-1]

    monkeypatch.setattr(RoISampler, "__call__", spy)
    return calls


@pytest.mark.parametrize(
    ("name", "total"), [("cascade_rcnn_r50", 69_394_766), ("cascade_rcnn_r101", 88_386_894)]
)
def test_parameter_counts_are_those_of_the_architecture(build, name, total):
    """With 80 classes and softmax; published for a ResNet-50: 69.17 M that learn."""
    detector = build(name, num_classes=80)
    backbone = {"cascade_rcnn_r50": 23_508_032, "cascade_rcnn_r101": 42_500_160}[name]
    widths = (256, 512, 1024, 2048)
    pyramid = sum(256 * width + 256 + 256 * 256 * 9 + 256 for width in widths)
    proposals = 256 * 256 * 9 + 256 + 256 * 3 + 3 + 256 * 12 + 12
    stage = (256 * 49 + 1) * 1024 + 1025 * 1024 + 1025 * 4
    classifier = 1025 * 81
    assert backbone + pyramid + proposals + 3 * (stage + classifier) == total
    counts = [(p.numel(), p.requires_grad) for p in detector.parameters()]
    assert sum(count for count, _ in counts) + 3 * classifier == total
    assert sum(count for count, learns in counts if not learns) == 225_344
    if name == "cascade_rcnn_r50":
        assert round((total - 225_344) / 1e6, 2) == 69.17
    assert (
        round((23_508_032 + pyramid + proposals + 3 * (stage + classifier) - 225_344) / 1e4) == 6917
    )


def test_configured_numbers(cascade):
    assert tuple(cascade.box_head) == tuple(cascade.box_regression) == LEVELS
    matchers = [sampler.matcher for sampler in cascade.samplers.values()]
    assert [(m.positive, m.negative, m.low_quality) for m in matchers] == [
        (iou, iou, None) for iou in IOUS
    ]
    assert tuple(cascade.level_weights.values()) == WEIGHTS
    for regression, stds in zip(cascade.box_regression.values(), STDS, strict=True):
        torch.testing.assert_close(regression.coder.stds, torch.tensor(stds))
        assert regression.beta == 1
    assert cascade.rpn.beta == pytest.approx(1 / 9)


def test_any_detector_becomes_a_cascade(build):
    detector = build("faster_rcnn_r18", "detector/parts@detector=cascade_rcnn")
    assert tuple(detector.box_head) == LEVELS
    fewer = build(
        "cascade_small", "~detector.later_levels.third", "detector.later_levels.second.iou=0.55"
    )
    assert tuple(fewer.level_weights) == LEVELS[:2]
    assert fewer.samplers["second"].matcher.positive == 0.55


def test_every_level_has_weights_of_its_own(cascade):
    for modules in (cascade.box_head, cascade.box_regression):
        addresses = [p.data_ptr() for module in modules.values() for p in module.parameters()]
        assert len(set(addresses)) == len(addresses)
        first, second, third = (next(module.parameters()) for module in modules.values())
        assert not torch.equal(first, second)
        assert not torch.equal(second, third)


def test_low_quality_rule_follows_the_overlap_of_its_stage(build):
    detector = build("cascade_small", "detector.sampler.matcher.low_quality=0.5")
    rules = [sampler.matcher.low_quality for sampler in detector.samplers.values()]
    assert rules == list(IOUS)


def test_a_box_regression_per_class_and_senseless_stages_are_refused(build):
    with pytest.raises(Exception, match="class_agnostic=true"):
        build("cascade_small", "detector.box_regression.class_agnostic=false")
    with pytest.raises(Exception, match="four positive numbers"):
        build("cascade_small", "detector.later_levels.second.stds=[0.1,0.1]")


def test_refinement_by_hand(cascade, images, monkeypatch):
    with_proposals(cascade, monkeypatch, [10.0, 20, 30, 60], [40.0, 40, 60, 80])
    double = math.log(2)
    deltas = {"first": (2.0, 0, double / 0.2, 0), "second": (0.0, 2, 0, -double / 0.1)}
    with_deltas(cascade, monkeypatch, **deltas, third=(0.0, 0, double / 0.067, 0))
    with torch.no_grad():
        regions = cascade.inference_regions(cascade.pyramid(images), [(55, 128), (90, 62)])
    # First image: the centre moves from 20 by 0.1 * 2 * 20 to 24, the width doubles to 40, and the
    # box is cut at 55 rows; then the centre moves from 37.5 by 0.05 * 2 * 35 to 41, and the height
    # halves to 17.5.
    expected = [[4.0, 32.25, 44.0, 49.75], [34.0, 54, 62, 74]]
    # Second image: [34, 40, 74, 80] is cut at 62 columns; then the centre moves by 4 to 64.
    for image, boxes in zip(regions, expected, strict=True):
        torch.testing.assert_close(image.proposals, torch.tensor([boxes]), rtol=0, atol=1e-4)
        assert image.deltas.shape == (1, 4)
        assert [x.features.shape for x in image.levels] == [(1, cascade.feature_dim)] * 3
    # What is detected is the last box with the last deltas: centre 24, width 40 doubled.
    probabilities = torch.zeros(1, 31)
    probabilities[0, [4, 9]] = torch.tensor([0.9, 0.8])
    found = cascade.detect(regions[0], probabilities, (55, 128))
    assert found.labels.tolist() == [4, 9]
    box = torch.tensor([0.0, 32.25, 64.0, 49.75])
    torch.testing.assert_close(found.boxes, box.expand(2, 4), rtol=0, atol=1e-3)


def test_each_stage_calls_positive_what_overlaps_enough(cascade, images, target, monkeypatch):
    boxes = [[0.0, 0, 20, 20 * iou] for iou in (0.45, 0.55, 0.65, 0.75)]
    with_proposals(cascade, monkeypatch, boxes, [])
    with_deltas(cascade, monkeypatch)
    alone = [target([[0.0, 0, 20, 20]], [5], SIZES[0]), target([], [], SIZES[1])]
    regions = step(cascade, images, alone)
    # The object's own box is positive in every level.
    assert [(level.labels == 5).sum().item() for level in regions.levels] == [4, 3, 2]
    assert [(level.labels == 30).sum().item() for level in regions.levels] == [1, 2, 3]
    for level in regions.levels:  # boxes that do not move keep their overlap and their score
        own = level.rois.added
        assert level.objectness[own].tolist() == [1]
        assert level.objectness[~own].tolist() == pytest.approx([1 / (1 + math.exp(-0.5))] * 4)
        overlaps = level.iou[level.labels == 5].tolist()
        assert min(overlaps) > 0.45
        assert max(overlaps) == 1
        assert level.images.tolist() == [0] * 5


def test_added_ground_truth_is_not_refined(cascade, images, targets, monkeypatch):
    with_proposals(cascade, monkeypatch, [[10.0, 10, 41, 50], [1, 70, 20, 90]], [])
    with_deltas(cascade, monkeypatch, first=(1.0, 0, 0, 0), second=(1.0, 0, 0, 0))
    calls = sampled(monkeypatch)
    step(cascade, images, targets)
    shift, next_shift = 0.1 * 31, 0.05 * 31
    lefts = [10.0, 10 + shift, 10 + shift + next_shift]
    for rois, left in zip(calls, lefts, strict=True):
        first, second = rois.boxes
        assert len(first) == 4  # two objects and two proposals, in every stage
        assert second.tolist() == [[5, 5, 30, 30]]
        assert rois.added.tolist() == [True, True, False, False, True]
        assert first[2, 0].item() == pytest.approx(left, abs=1e-4)
        torch.testing.assert_close(first[:2].sort(0).values, targets[0].boxes.sort(0).values)


def loop_refine(deltas, box, stds, size):
    """A box moved by deltas, clipped: one number at a time."""
    x1, y1, x2, y2 = box.tolist()
    dx, dy, dw, dh = (d * std for d, std in zip(deltas.tolist(), stds, strict=True))
    width, height = (x2 - x1) * math.exp(dw), (y2 - y1) * math.exp(dh)
    x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
    clip = [(x - width / 2, size[1]), (y - height / 2, size[0])]
    clip += [(x + width / 2, size[1]), (y + height / 2, size[0])]
    return torch.tensor([min(max(value, 0.0), high) for value, high in clip])


def loop_forward(detector, pyramid, image, boxes, size):
    """Features and boxes of every stage for one image's proposals, one RoI at a time."""
    features, stages = [], []
    for name, stds in zip(LEVELS, STDS, strict=True):
        rows, refined = [], []
        for box in boxes:
            roi = torch.cat((torch.tensor([float(image)]), box)).unsqueeze(0)
            row = detector.box_head[name](detector.pooling(pyramid, roi))[0]
            layer = detector.box_regression[name].fc
            rows.append(row)
            refined.append(loop_refine(layer.weight @ row + layer.bias, box, stds, size))
        features.append(torch.stack(rows))
        stages.append(boxes)
        boxes = torch.stack(refined)
    return features, stages, boxes


@pytest.fixture
def lively(build):
    """A cascade whose box regressions move boxes by several pixels."""
    detector = build("cascade_small", *NARROW)
    for regression in detector.box_regression.values():
        torch.nn.init.normal_(regression.fc.weight, std=0.3)
    return detector


@torch.no_grad()
def test_inference_equals_the_loop(lively, images):
    lively.eval()
    pyramid = lively.pyramid(images)
    proposals = lively.rpn.proposals(pyramid, SIZES).boxes
    regions = lively.inference_regions(pyramid, SIZES)
    for number, (size, image) in enumerate(zip(SIZES, regions, strict=True)):
        chosen = torch.arange(0, len(proposals[number]), 20)
        features, stages, last = loop_forward(
            lively, pyramid, number, proposals[number][chosen], size
        )
        torch.testing.assert_close(image.proposals[chosen], stages[-1], rtol=1e-3, atol=1e-2)
        for ours, theirs in zip(image.levels, features, strict=True):
            torch.testing.assert_close(ours.features[chosen], theirs, rtol=1e-2, atol=1e-2)
        decoded = BoxCoder(STDS[-1]).decode(image.deltas, image.proposals, size)
        torch.testing.assert_close(decoded[chosen], last, rtol=1e-2, atol=5e-2)
        assert (stages[0] - stages[1]).abs().max() > 3


def test_a_training_step_equals_the_loop(lively, images, targets, monkeypatch):
    calls = sampled(monkeypatch)
    lively.train()
    pyramid = lively.pyramid(images)
    torch.manual_seed(5)
    regions = lively.training_regions(pyramid, targets)
    torch.manual_seed(5)
    _, rpn_losses = lively.rpn(pyramid, targets)
    total = torch.zeros(())
    refined = None
    for name, stds, iou, weight, rois, level in zip(
        LEVELS, STDS, IOUS, WEIGHTS, calls, regions.levels, strict=True
    ):
        features, labels = level.features, level.labels
        regression = lively.box_regression[name]
        row, following = 0, []
        loss = torch.zeros(())
        for number, target in enumerate(targets):
            proposals = []
            for box in rois.boxes[number]:
                roi = torch.cat((torch.tensor([float(number)]), box)).unsqueeze(0)
                feature = lively.box_head[name](lively.pooling(pyramid, roi))[0]
                torch.testing.assert_close(features[row], feature, rtol=1e-4, atol=1e-4)
                deltas = regression.fc.weight @ feature + regression.fc.bias
                overlaps = pairwise_iou(target.boxes, box.unsqueeze(0))[:, 0]
                positive = bool(overlaps.max() >= iou)
                best = int(overlaps.argmax())
                assert labels[row] == (target.labels[best] if positive else 30)
                if positive:
                    goal = BoxCoder(stds).encode(target.boxes[best : best + 1], box.unsqueeze(0))[0]
                    error = (deltas - goal).abs()
                    loss = loss + torch.where(error < 1, error.square() / 2, error - 0.5).sum()
                own = bool((target.boxes == box).all(1).any())
                assert bool(rois.added[row]) == own
                if not own:
                    proposals.append(loop_refine(deltas, box, stds, target.size))
                row += 1
            if refined is not None:
                for box in rois.boxes[number][~rois.added[row - len(rois.boxes[number]) : row]]:
                    distances = (torch.stack(refined[number]) - box).abs().amax(1)
                    assert distances.min() < 1e-2
            following.append(proposals)
        refined = following
        total = total + weight * loss / row
    torch.testing.assert_close(regions.losses["box"], total, rtol=1e-4, atol=1e-5)
    for name, value in rpn_losses.items():
        assert torch.equal(regions.losses[name], value)


def test_shapes_and_gradients_of_a_training_step(cascade, images, targets):
    regions = step(cascade, images, targets)
    assert len(regions.levels) == 3
    for level in regions.levels:
        assert level.features.shape == (len(level.labels), cascade.feature_dim)
        assert level.labels.dtype == torch.int64
        assert {3, 7, 29, 30} == set(level.labels.tolist())
        assert level.extra == {}
    assert set(regions.losses) == {"rpn_objectness", "rpn_box", "box"}
    assert all(loss.dtype == torch.float32 and loss > 0 for loss in regions.losses.values())
    assert [r.fc.out_features for r in cascade.box_regression.values()] == [4, 4, 4]
    (sum(regions.losses.values()) + sum(x.features.sum() for x in regions.levels)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cascade.parameters())


@pytest.mark.parametrize("number", range(3))
def test_a_level_does_not_learn_from_the_levels_after_it(cascade, images, targets, number):
    regions = step(cascade, images, targets)
    regions.levels[number].features.sum().backward()
    for index, name in enumerate(LEVELS):
        learns = [p.grad is not None for p in cascade.box_head[name].parameters()]
        assert set(learns) == {index == number}
        assert all(p.grad is None for p in cascade.box_regression[name].parameters())
    assert cascade.fpn.lateral[0].weight.grad.any()


def test_frozen_extractor_trains_rpn_and_every_box_regression(build, images, targets):
    detector = build("cascade_small", *NARROW)
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)
    regions = step(detector, images, targets, frozen=True)
    assert not any(level.features.requires_grad for level in regions.levels)
    sum(regions.losses.values()).backward()
    trained = {name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None}
    assert trained == {"rpn", "box_regression"}
    assert all(p.grad.any() for p in detector.box_regression.parameters())


@pytest.mark.parametrize("frozen", [True, False])
def test_extra_boxes_get_features_of_every_level_and_change_nothing(build, images, targets, frozen):
    detector = build("cascade_small", *NARROW)
    detector.box_head.requires_grad_(not frozen)
    extra = [torch.tensor([[10.0, 10, 40, 50], [0, 0, 90, 90]]), torch.tensor([[5.0, 5, 60, 30]])]
    results = []
    for boxes in (None, extra):
        torch.manual_seed(2)
        results.append(step(detector, images, targets, boxes, frozen))
    without, regions = results
    for ours, theirs in zip(regions.levels, without.levels, strict=True):
        assert torch.equal(ours.features, theirs.features)
    assert torch.equal(regions.losses["box"], without.losses["box"])
    pooled = detector.pooling(
        detector.pyramid(images),
        torch.tensor([[0.0, 10, 10, 40, 50], [0, 0, 0, 90, 90], [1, 5, 5, 60, 30]]),
    )
    for level, head in zip(regions.levels, detector.box_head.values(), strict=True):
        features = level.extra[EXTRA].features
        assert not features.requires_grad
        torch.testing.assert_close(features, head(pooled).detach(), rtol=1e-4, atol=1e-5)


def test_images_without_objects(cascade, images, target):
    empty = [target([], [], SIZES[0]), target([], [], SIZES[1])]
    regions = step(cascade, images, empty, [torch.zeros(0, 4)] * 2)
    assert all((x.labels == 30).all() and len(x.labels) for x in regions.levels)
    shapes = [level.extra[EXTRA].features.shape for level in regions.levels]
    assert shapes == [(0, cascade.feature_dim)] * 3
    assert regions.losses["box"] == 0
    sum(regions.losses.values()).backward()
    assert all(not p.grad.any() for p in cascade.box_regression.parameters())
    assert cascade.rpn.head.conv.weight.grad.any()


def test_no_proposal_survives(cascade, images, target, monkeypatch):
    with_proposals(cascade, monkeypatch, [], [])
    regions = step(cascade, images, [target([], [], size) for size in SIZES])
    assert [x.features.shape for x in regions.levels] == [(0, cascade.feature_dim)] * 3
    (sum(regions.losses.values()) + sum(x.features.sum() for x in regions.levels)).backward()
    cascade.eval()
    with torch.no_grad():
        inference = cascade.inference_regions(cascade.pyramid(images), SIZES)
    assert [len(image.proposals) for image in inference] == [0, 0]
    assert len(cascade.detect(inference[0], torch.zeros(0, 31), SIZES[0]).boxes) == 0


def test_a_box_that_leaves_the_image_becomes_empty_and_does_no_harm(
    cascade, images, targets, monkeypatch
):
    with_proposals(cascade, monkeypatch, [[100.0, 40, 120, 60]], [[5.0, 5, 31, 30]])
    with_deltas(cascade, monkeypatch, first=(50.0, 0, 0, 0))
    regions = step(cascade, images, targets)
    assert all(level.features.isfinite().all() for level in regions.levels)
    assert all(loss.isfinite() for loss in regions.losses.values())


def test_diverged_boxes_are_told(build, images, targets):
    detector = build("cascade_small", *NARROW)
    torch.nn.init.constant_(detector.box_regression["second"].fc.bias, torch.nan)
    with pytest.raises(FloatingPointError, match=r"second level.*lower the learning rate"):
        step(detector, images, targets)


def test_each_image_is_detected_as_alone(cascade, images):
    cascade.eval()
    with torch.no_grad():
        pyramid = cascade.pyramid(images)
    both = cascade.inference_regions(pyramid, SIZES)
    (alone,) = cascade.inference_regions([x[1:] for x in pyramid], SIZES[1:])
    torch.testing.assert_close(alone.proposals, both[1].proposals, rtol=1e-4, atol=1e-3)
    for ours, theirs in zip(alone.levels, both[1].levels, strict=True):
        torch.testing.assert_close(ours.features, theirs.features, rtol=1e-3, atol=1e-4)
    assert alone.proposals[:, 0::2].max() <= 100
    assert alone.proposals[:, 1::2].max() <= 90


def test_losses_are_float32_under_autocast(cascade, images, targets):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        regions = step(cascade, images, targets)
    assert all(loss.dtype == torch.float32 for loss in regions.losses.values())
    sum(regions.losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in cascade.box_regression.parameters())


def test_work_of_every_level_is_counted(cascade):
    """Per RoI: three times two layers, four deltas, and the classifier of 30 classes."""
    dim, channels = cascade.feature_dim, cascade.fpn.channels
    weights = cascade.level_weights
    head = Head({name: Classifier(dim, SoftmaxCrossEntropy(30)) for name in weights}, weights)
    few, many = (count_multiply_adds(cascade, head, (64, 96), rois) for rois in (10, 14))
    each = 49 * channels * dim + dim * dim + 4 * dim + 31 * dim
    assert many.rois - few.rois == 4 * 3 * each
    assert many.extractor == few.extractor


def test_features_of_boxes_are_those_that_heads_can_ask_for(cascade, images, targets):
    boxes = [torch.tensor([[5.0, 5, 30, 30], [0, 0, 60, 40]]), torch.zeros(0, 4)]
    regions = step(cascade, images, targets, boxes, frozen=True)
    cascade.eval()
    with torch.no_grad():
        found = cascade.box_features(cascade.pyramid(images), boxes)
    assert len(found) == len(LEVELS)
    for features, level in zip(found, regions.levels, strict=True):
        torch.testing.assert_close(features, level.extra[EXTRA].features)
