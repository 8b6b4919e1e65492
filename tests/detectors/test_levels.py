"""What a head can see of the RoIs that it classifies."""

import pytest
import torch

from bacl.detectors.any_detector import FIRST
from bacl.detectors.boxes import paired_iou, pairwise_iou
from bacl.detectors.levels import uncut_level


@pytest.fixture
def targets(target):
    first = target([[10.0, 10, 40, 50], [60, 20, 90, 45]], [3, 7], (96, 128))
    return [first, target([[5.0, 5, 30, 30]], [29], (90, 100))]


@pytest.fixture(params=["small", "cascade_small"])
def regions(request, build, targets):
    detector = build(request.param, "detector.backbone.norm_eval=true").train()
    pyramid = detector.pyramid(torch.randn(2, 3, 96, 128))
    return detector, detector.training_regions(pyramid, targets)


def test_every_level_has_a_name_and_a_weight(regions):
    detector, found = regions
    weights = [1.0, 0.5, 0.25][: len(found.levels)]  # Cascade R-CNN's published ones
    assert list(detector.level_weights.values()) == weights
    assert next(iter(detector.level_weights)) == FIRST


def test_every_row_has_its_image_object_overlap_and_score(regions, targets):
    for level in regions[1].levels:
        rows = zip(level.images, level.objects, level.iou, level.objectness, strict=True)
        boxes = torch.cat(list(level.boxes))
        assert not boxes.requires_grad  # where a box lies is no one's to learn
        assert len(boxes) == len(level.features) == len(level.labels)
        for number, (image, index, overlap, score) in enumerate(rows):
            assert 0 <= score <= 1
            if level.labels[number] == 30:
                assert index < 0
                assert overlap == 0
                continue
            mine = targets[image].boxes[index : index + 1]
            assert level.labels[number] == targets[image].labels[index]
            expected = pairwise_iou(mine, boxes[number : number + 1])[0, 0]
            assert overlap == pytest.approx(float(expected), abs=1e-5)
            assert (score == 1) == bool(level.rois.added[number])


def test_raw_features_are_those_that_were_encoded(regions):
    detector, found = regions
    for level in found.levels:
        assert level.pooled.shape == (len(level.labels), detector.fpn.channels, 7, 7)
        assert level.pooled is level.pooled  # cut out once
        widths = (4, 4 * detector.num_classes)
        assert level.regress(level.features).shape[1] in widths
        torch.testing.assert_close(level.encode(level.pooled), level.features)


def test_proposals_at_inference_have_their_scores(regions):
    detector, _ = regions
    detector.eval()
    with torch.no_grad():
        pyramid = detector.pyramid(torch.randn(2, 3, 96, 128))
    both = detector.inference_regions(pyramid, [(96, 128), (90, 100)])
    (_, second) = detector.rpn.proposals(pyramid, [(96, 128), (90, 100)]).objectness()
    assert not any(each.deltas.requires_grad for each in both)
    for level in both[1].levels:
        assert not level.features.requires_grad
        assert torch.equal(level.objectness, second)
        assert level.images.unique().tolist() == [0]
        torch.testing.assert_close(level.encode(level.pooled), level.features, rtol=1e-4, atol=1e-5)


def test_what_is_shared_is_made_once(regions):
    (level, *_), calls = regions[1].levels, []
    for key in ("sums", "sums", "others"):
        assert level.once(key, lambda key=key: calls.append(key) or key) == key
    assert calls == ["sums", "others"]


def test_a_level_of_nothing_has_as_many_rows():
    level = uncut_level(torch.zeros(4, 2, 3, 3), torch.nn.Flatten(), torch.nn.Identity())
    assert level.features.shape == (4, 18)
    assert level.objectness.shape == level.images.shape == (4,)


def test_overlaps_of_pairs_are_the_diagonal_of_all():
    corners = torch.rand(50, 2, 2) * 20
    boxes, others = (torch.cat((c, c + torch.rand(50, 2) * 20), 1) for c in corners.unbind(1))
    others[0] = boxes[0]
    boxes[1] = others[1] = 0
    expected = pairwise_iou(boxes, others).diagonal()
    torch.testing.assert_close(paired_iou(boxes, others), expected)
    assert paired_iou(boxes, others)[:2].tolist() == [1, 0]
