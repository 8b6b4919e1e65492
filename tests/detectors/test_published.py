"""The detector gives what was recorded from the published one for the same weights and images."""

import pytest
import torch
from torch.nn import functional as F

from bacl.detectors.matching import BACKGROUND


@pytest.fixture(scope="module")
def numbers(recorded):
    return recorded("e_backbone_rpn")


def close(ours, theirs, relative=1e-4):
    theirs = torch.as_tensor(theirs)
    error = (ours.double() - theirs.double()).abs().max() / theirs.double().abs().max()
    assert ours.shape == theirs.shape
    assert error < relative, f"relative error {error:.2e}"


def test_backbone(numbers, recorded_detector, recorded_images):
    with torch.no_grad():
        features = recorded_detector.backbone(recorded_images)
    for level, (x, step) in enumerate(zip(features, (8, 4, 2, 1), strict=True)):
        close(x[:, ::32, ::step, ::step], numbers[f"c{level + 2}_slice"])
        close(x.mean((2, 3)), numbers[f"c{level + 2}_chanmean"])


def test_pyramid(numbers, recorded_pyramid):
    for level, (x, step) in enumerate(zip(recorded_pyramid, (8, 4, 2, 1, 1), strict=True)):
        close(x[:, ::16, ::step, ::step], numbers[f"p{level + 2}_slice"])
        close(x.mean((2, 3)), numbers[f"p{level + 2}_chanmean"])


def test_anchors_are_exact(numbers, recorded_detector, recorded_pyramid):
    generator = recorded_detector.rpn.anchors
    anchors = generator([tuple(shape) for shape in numbers["featmap_sizes"].tolist()])
    for level, boxes in enumerate(anchors):
        assert torch.equal(
            generator.base[level], torch.from_numpy(numbers[f"base_anchors_{level}"])
        )
        assert torch.equal(boxes[::37], torch.from_numpy(numbers[f"anchors_{level}_every37"]))
        assert len(boxes) == numbers[f"n_anchors_{level}"]
    assert sum(len(boxes) for boxes in anchors) == 20460


def test_rpn_outputs(numbers, recorded_detector, recorded_pyramid):
    with torch.no_grad():
        outputs = [recorded_detector.rpn.head(x) for x in recorded_pyramid]
    for level, (x, (logits, deltas)) in enumerate(zip(recorded_pyramid, outputs, strict=True)):
        height, width = x.shape[2:]
        logits = logits.unflatten(1, (height, width, 3)).permute(0, 3, 1, 2)
        deltas = (
            deltas.flatten(2).unflatten(1, (height, width, 3)).permute(0, 3, 4, 1, 2).flatten(1, 2)
        )
        step, suffix = {0: (4, "_slice"), 1: (4, "_slice")}.get(level, (1, ""))
        close(logits[:, :, ::step, ::step], numbers[f"rpn_cls_{level}{suffix}"])
        step = 2 * step if suffix else 1
        close(deltas[:, :, ::step, ::step], numbers[f"rpn_reg_{level}{suffix}"])


@pytest.mark.parametrize(
    ("mode", "count", "key"), [("test", 1000, "test"), ("train", 2000, "train2000")]
)
def test_proposals(
    numbers, recorded_detector, recorded_pyramid, recorded_targets, mode, count, key
):
    rpn, sizes = recorded_detector.rpn, [target.size for target in recorded_targets]
    with torch.no_grad():
        if mode == "test":
            proposals = rpn.proposals(recorded_pyramid, sizes)
        else:
            proposals, _ = rpn(recorded_pyramid, recorded_targets)
    for image, boxes in enumerate(proposals):
        theirs = torch.from_numpy(numbers[f"{key}_proposals_img{image}"])[:, :4]
        assert len(boxes) == count
        # The same set: each of theirs is one of ours. Scores that tie to rounding may swap places.
        nearest = torch.cdist(theirs, boxes, p=float("inf")).min(dim=1)
        assert nearest.values.max() < 1e-2
        assert len(nearest.indices.unique()) == count


@pytest.fixture(scope="module", params=["representation", "classifier"])
def step(request, recorded):
    return recorded(f"e_train_{request.param}_C30")


class ReplayedSampler:
    """Draws what was recorded, image after image, and keeps the matches it could draw from."""

    def __init__(self, step, name, seen):
        self.step, self.name, self.seen = step, name, seen
        self.image = 0

    def __call__(self, matches):
        key = f"s0_{self.name}_img{self.image}"
        self.image += 1
        self.seen.append((self.name, matches))
        return tuple(torch.from_numpy(self.step[f"{key}_{sign}_inds"]) for sign in ("pos", "neg"))


@pytest.fixture
def replay(monkeypatch, recorded_detector, recorded_targets, step, numbers):
    """Runs a training step with the recorded draws: pyramid -> (regions, matches to draw from).

    Draws are indices into the proposals, so these are the recorded ones too: a few pairs of ours,
    whose scores tie to rounding, are swapped.
    """
    proposals = [torch.from_numpy(numbers[f"train2000_proposals_img{i}"])[:, :4] for i in range(2)]

    def run(pyramid):
        seen = []
        for part, name in ((recorded_detector.rpn, "rpn"), (recorded_detector.sampler, "rcnn")):
            monkeypatch.setattr(part, "sampler", ReplayedSampler(step, name, seen))
        monkeypatch.setattr(recorded_detector.rpn, "_select", lambda *args: proposals)
        recorded_detector.zero_grad()
        return recorded_detector.training_regions(pyramid, recorded_targets), seen

    return run


def test_matches(replay, recorded_pyramid, step):
    _, seen = replay(recorded_pyramid)
    assert [name for name, _ in seen] == ["rpn", "rpn", "rcnn", "rcnn"]
    for number, (name, matches) in enumerate(seen):
        key = f"s0_{name}_img{number % 2}"
        positives = torch.from_numpy(step[f"{key}_pos_inds"])
        assert torch.equal(matches[positives], torch.from_numpy(step[f"{key}_pos_assigned_gt"]))
        assert (matches[torch.from_numpy(step[f"{key}_neg_inds"])] == BACKGROUND).all()
        own = (5, 3)[number % 2] if name == "rcnn" else 0
        assert (matches >= 0).sum() == step[f"{key}_n_assigned_pos_before_gt_added"] + own
        assert len(matches) == step[f"{key}_n_boxes"] + own


def test_losses_and_gradients(replay, recorded_pyramid, step, recorded_detector):
    regions, _ = replay(recorded_pyramid)
    for ours, theirs in {"rpn_objectness": "rpn_cls", "rpn_box": "rpn_bbox", "box": "bbox"}.items():
        assert regions.losses[ours].item() == pytest.approx(step[f"s0_loss_{theirs}"], rel=1e-4)
    sum(regions.losses.values()).backward()
    names = {
        "rpn.head.conv": "rpn_head.rpn_conv",
        "rpn.head.objectness": "rpn_head.rpn_cls",
        "rpn.head.deltas": "rpn_head.rpn_reg",
        "box_regression.fc": "roi_head.bbox_head.fc_reg",
    }
    parameters = dict(recorded_detector.named_parameters())
    for ours, theirs in names.items():
        for part in ("weight", "bias"):
            gradient = parameters[f"{ours}.{part}"].grad.double()
            norm, total = (step[f"s0_{kind}:{theirs}.{part}"] for kind in ("gradnorm", "gradsum"))
            assert gradient.norm() == pytest.approx(norm, rel=1e-3)
            assert gradient.sum() == pytest.approx(total, rel=1e-3, abs=1e-3 * norm)


def test_regions_without_objects_have_zero_box_loss_and_a_graph(
    target, recorded_detector, recorded_pyramid, recorded_targets
):
    empty = [target([], [], image.size) for image in recorded_targets]
    recorded_detector.zero_grad()
    regions = recorded_detector.training_regions(recorded_pyramid, empty)
    assert (regions.labels == 30).all()
    assert regions.losses["box"] == 0
    assert regions.losses["rpn_box"] == 0
    sum(regions.losses.values()).backward()
    assert not recorded_detector.box_regression.fc.weight.grad.any()
    assert recorded_detector.rpn.head.conv.weight.grad.any()


def classifier_weights(recipe):
    weight = recipe.weight("roi_head.bbox_head.fc_cls.weight", (31, 1024))
    bias = recipe.weight("roi_head.bbox_head.fc_cls.bias", (31,))
    return torch.from_numpy(weight), torch.from_numpy(bias)


@pytest.mark.parametrize("step", ["representation"], indirect=True)
def test_gradients_of_the_whole_detector(step, replay, recipe, recorded_detector, recorded_images):
    """A full representation step: what reaches the backbone through pyramid, RPN and RoIs."""
    regions, _ = replay(recorded_detector.pyramid(recorded_images))
    weight, bias = classifier_weights(recipe)
    truth = F.one_hot(regions.labels, 31).float()
    logits = F.linear(regions.features, weight, bias)
    loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(truth)
    assert loss.item() == pytest.approx(step["s0_loss_cls"], rel=1e-4)
    (loss + sum(regions.losses.values())).backward()
    names = {
        "backbone.layer2.0.conv1.weight": "backbone.layer2.0.conv1.weight",
        "fpn.lateral.0.weight": "neck.lateral_convs.0.conv.weight",
        "fpn.lateral.0.bias": "neck.lateral_convs.0.conv.bias",
        "box_head.shared_fcs.1.weight": "roi_head.bbox_head.shared_fcs.1.weight",
    }
    parameters = dict(recorded_detector.named_parameters())
    for ours, theirs in names.items():
        gradient = parameters[ours].grad.double()
        norm, total = (step[f"s0_{kind}:{theirs}"] for kind in ("gradnorm", "gradsum"))
        assert gradient.norm() == pytest.approx(norm, rel=1e-3)
        assert gradient.sum() == pytest.approx(total, rel=1e-3, abs=1e-3 * norm)


def test_detections(recorded, recipe, recorded_detector, recorded_pyramid):
    numbers = recorded("e_detections_C30")
    weight, bias = classifier_weights(recipe)
    regions = recorded_detector.inference_regions(recorded_pyramid, recipe.VALID_SIZE)
    for index, (image, size) in enumerate(zip(regions, recipe.VALID_SIZE, strict=True)):
        sigmoid = F.linear(image.features, weight, bias).sigmoid()
        detections = recorded_detector.detect(image, sigmoid * (1 - sigmoid[:, -1:]), size)
        key = f"representation_thr0.0001_rescale0_img{index}"
        boxes = torch.from_numpy(numbers[f"{key}_bboxes"])
        assert torch.equal(detections.labels, torch.from_numpy(numbers[f"{key}_labels"]))
        torch.testing.assert_close(detections.boxes, boxes[:, :4], rtol=0, atol=0.02)
        torch.testing.assert_close(detections.scores, boxes[:, 4], rtol=1e-4, atol=1e-5)
