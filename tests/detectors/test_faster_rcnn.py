import pytest
import torch

from bacl.detectors.levels import ExtraBoxes
from bacl.detectors.proposals import Proposals

LVIS_05, LVIS_1 = 1230, 1203


def parameters(detector, num_classes):
    """Trainable and all parameters, with a linear classifier of `num_classes` and background."""
    classifier = (detector.feature_dim + 1) * (num_classes + 1)
    counts = [(p.numel(), p.requires_grad) for p in detector.parameters()]
    return sum(n for n, trains in counts if trains) + classifier, sum(
        n for n, _ in counts
    ) + classifier


@pytest.mark.parametrize(
    ("name", "classes", "total"),
    [
        ("faster_rcnn_r50", LVIS_05, 47_646_806),
        ("faster_rcnn_r101", LVIS_05, 66_638_934),
        ("faster_rcnn_r50", LVIS_1, 47_508_431),
        ("faster_rcnn_r101", LVIS_1, 66_500_559),
    ],
)
def test_parameter_counts_of_the_paper(build, name, classes, total):
    trainable, everything = parameters(build(name, num_classes=classes), classes)
    assert everything == total
    assert everything - trainable == 225_344


def test_classifier_stage_trains_what_the_published_one_trains(build):
    detector = build("faster_rcnn_r50", num_classes=LVIS_05)
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)
    assert parameters(detector, LVIS_05)[0] == 6_898_710


@pytest.mark.parametrize("name", ["faster_rcnn_r18", "faster_rcnn_r34", "faster_rcnn_mobilenet"])
def test_other_detectors_build(build, name):
    detector = build(name)
    assert len(detector.pyramid(torch.rand(1, 3, 64, 64))) == 5


@pytest.fixture(scope="module")
def small(build):
    return build("small")


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 128)


@pytest.fixture
def targets(target):
    first = target([[10.0, 10, 40, 50], [60, 20, 90, 45]], [3, 7], (96, 128))
    return [first, target([[5.0, 5, 30, 30]], [29], (90, 100))]


EXTRA = "a head"


def step(detector, images, targets, extra=None, frozen=False):
    detector.train()
    detector.zero_grad()
    with torch.set_grad_enabled(not frozen):
        pyramid = detector.pyramid(images)
    asked = {} if extra is None else {EXTRA: ExtraBoxes(extra, torch.arange(sum(map(len, extra))))}
    return detector.training_regions(pyramid, targets, asked)


def test_a_training_step(small, images, targets):
    regions = step(small, images, targets)
    (level,) = regions.levels
    rows = len(level.labels)
    assert level.features.shape == (rows, small.feature_dim)
    assert level.labels.dtype == torch.int64
    assert {3, 7, 29, 30} == set(level.labels.tolist())
    assert level.extra == {}
    assert set(regions.losses) == {"rpn_objectness", "rpn_box", "box"}
    assert all(loss.dtype == torch.float32 and loss > 0 for loss in regions.losses.values())
    (sum(regions.losses.values()) + level.features.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())


def test_the_global_generator_decides_the_draws(small, images, targets):
    torch.manual_seed(3)
    first = step(small, images, targets)
    torch.manual_seed(3)
    again = step(small, images, targets)
    assert torch.equal(first.levels[0].features, again.levels[0].features)
    assert torch.equal(first.levels[0].labels, again.levels[0].labels)


def test_frozen_extractor_trains_rpn_and_box_regression_alone(build, images, targets):
    detector = build("small")
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)
    regions = step(detector, images, targets, frozen=True)
    assert not regions.levels[0].features.requires_grad
    sum(regions.losses.values()).backward()
    trained = {name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None}
    assert trained == {"rpn", "box_regression"}
    assert all(p.grad.any() for p in detector.rpn.parameters())


def test_freezing_changes_neither_values_nor_the_gradients_of_the_rest(build, images, targets):
    detector = build("small", "detector.backbone.norm_eval=true")
    gradients = []
    for frozen in (False, True):
        torch.manual_seed(1)
        regions = step(detector, images, targets, frozen=frozen)
        sum(regions.losses.values()).backward()
        trained = [*detector.rpn.parameters(), *detector.box_regression.parameters()]
        gradients.append([regions.levels[0].features.detach(), *(p.grad.clone() for p in trained)])
    for learning, frozen in zip(*gradients, strict=True):
        torch.testing.assert_close(learning, frozen, rtol=1e-4, atol=1e-6)


def test_extra_boxes_have_the_same_features_in_both_stages(build, images, targets):
    detector = build("small", "detector.backbone.norm_eval=true")
    extra = [torch.tensor([[10.0, 10, 40, 50], [0, 0, 90, 90]]), torch.tensor([[5.0, 5, 60, 30]])]
    (learning,) = step(detector, images, targets, extra).levels
    expected = detector.roi_features(detector.pyramid(images), extra)
    assert learning.features.requires_grad
    found = learning.extra[EXTRA]
    assert not found.features.requires_grad
    assert found.labels.tolist() == [0, 1, 2]
    torch.testing.assert_close(found.features, expected.detach(), rtol=1e-4, atol=1e-5)
    detector.box_head.requires_grad_(False)
    (frozen,) = step(detector, images, targets, extra, frozen=True).levels
    again = frozen.extra[EXTRA].features
    torch.testing.assert_close(again, found.features, rtol=1e-4, atol=1e-5)
    assert len(frozen.features) == len(frozen.labels)


def test_images_without_objects(small, images, target):
    empty = [target([], [], (96, 128)), target([], [], (96, 128))]
    extra = [torch.zeros(0, 4)] * 2
    regions = step(small, images, empty, extra)
    (level,) = regions.levels
    assert (level.labels == small.num_classes).all()
    assert level.extra[EXTRA].features.shape == (0, small.feature_dim)
    assert regions.losses["box"] == 0
    assert regions.losses["rpn_box"] == 0
    sum(regions.losses.values()).backward()
    assert small.rpn.head.conv.weight.grad.any()


def test_no_proposal_survives(small, images, target, monkeypatch):
    empty = [target([], [], (96, 128)), target([], [], (96, 128))]
    nothing = Proposals([torch.zeros(0, 4)] * 2, [torch.zeros(0)] * 2)
    monkeypatch.setattr(small.rpn, "_select", lambda *args: nothing)
    regions = step(small, images, empty)
    (level,) = regions.levels
    assert level.features.shape == (0, small.feature_dim)
    assert level.objectness.shape == level.iou.shape == level.images.shape == (0,)
    (sum(regions.losses.values()) + level.features.sum()).backward()
    small.eval()
    inference = small.inference_regions(small.pyramid(images), [(96, 128)] * 2)
    assert [len(image.proposals) for image in inference] == [0, 0]
    probabilities = torch.zeros(0, small.num_classes + 1)
    assert len(small.detect(inference[0], probabilities, (96, 128)).boxes) == 0


def test_inference_regions_and_detections_of_each_image(small, images):
    small.eval()
    with torch.no_grad():
        pyramid = small.pyramid(images)
    sizes = [(96, 128), (50, 60)]
    regions = small.inference_regions(pyramid, sizes)
    for image, (height, width) in zip(regions, sizes, strict=True):
        count = len(image.proposals)
        assert 0 < count <= 200
        assert image.levels[0].features.shape == (count, small.feature_dim)
        assert image.deltas.shape == (count, 4 * small.num_classes)
        assert image.proposals[:, 0::2].max() <= width
        assert image.proposals[:, 1::2].max() <= height
        detections = small.detect(image, torch.rand(count, 31), (height, width))
        assert len(detections.boxes) > 0
        assert detections.boxes[:, 2].max() <= width
    alone = small.inference_regions([x[1:] for x in pyramid], sizes[1:])[0]
    ours, theirs = (found.levels[0].features for found in (alone, regions[1]))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_losses_are_float32_under_autocast(small, images, targets):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        regions = step(small, images, targets)
    assert all(loss.dtype == torch.float32 for loss in regions.losses.values())
    sum(regions.losses.values()).backward()
    assert small.rpn.head.conv.weight.grad.isfinite().all()


def test_a_transformer_as_backbone(build, images, targets):
    pytest.importorskip("timm")
    options = "embed_dim:8,depths:[2,2,2,2],num_heads:[1,2,2,4]"
    narrow = [f"+detector.backbone.options={{{options}}}", "detector.fpn.channels=16"]
    detector = build("faster_rcnn_swin_t", *narrow, "detector.feature_dim=32")
    regions = step(detector, images, targets)
    (sum(regions.losses.values()) + regions.levels[0].features.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())
    detector.eval()
    (region,) = detector.inference_regions(detector.pyramid(images[:1]), [(90, 100)])
    assert len(detector.detect(region, torch.rand(len(region.proposals), 31), (90, 100)).boxes)


def test_parameters_of_a_swin_t(build):
    """torchvision's and timm's Swin-T: 28,288,354 with norm and classifier of 1000 classes."""
    pytest.importorskip("timm")
    detector = build("faster_rcnn_swin_t")
    classifier = 768 * 1000 + 1000 + 2 * 768
    norms = 2 * (96 + 192 + 384 + 768)
    own = sum(p.numel() for p in detector.backbone.parameters())
    assert own == 28_288_354 - classifier + norms
    assert detector.backbone.channels == (96, 192, 384, 768)
