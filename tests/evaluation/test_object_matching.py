import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, box_iou

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.conditions import IOU_THRESHOLDS, area_conditions
from bacl.evaluation.object_matching import match
from bacl.evaluation.truth import GroundTruth

T = len(IOU_THRESHOLDS)


def objects(areas, ignored=None, keys=None, crowd=None):
    """Ground truth of one category in one image, or of the given keys."""
    count = len(areas)
    return GroundTruth(
        image_ids=np.array([1]),
        num_categories=1,
        rows=np.arange(count),
        keys=np.zeros(count, np.int64) if keys is None else np.array(keys),
        boxes=np.zeros((count, 4)),
        areas=np.array(areas, float),
        ignored=np.zeros(count, bool) if ignored is None else np.array(ignored),
        crowd=np.zeros(count, bool) if crowd is None else np.array(crowd),
        knowledge=np.ones(1, np.uint8),
        judged_images=np.array([0]),
    )


def match_by(iou, truth, keys=None):
    """Match with a given matrix (N, G) of overlaps, as a mask IoU would be plugged in."""
    iou = np.array(iou, float)
    keys = np.zeros(len(iou), np.int64) if keys is None else np.array(keys)
    return match(truth, np.arange(len(iou)), keys, lambda d, t: iou[d, t])


def passed(words, area=0):
    """Number of IoU thresholds whose bit is set, for each detection."""
    return [(int(word) >> area * T & (1 << T) - 1).bit_count() for word in words]


def test_overlap_of_boxes_equals_torchvision():
    draw = np.random.default_rng(0)
    boxes = draw.uniform(0, 60, (2, 50, 4))
    found = box_overlap(*boxes, np.zeros(50, bool))(
        np.repeat(np.arange(50), 50), np.tile(np.arange(50), 50)
    )
    corners = [box_convert(torch.from_numpy(each), "xywh", "xyxy") for each in boxes]
    np.testing.assert_allclose(found.reshape(50, 50), box_iou(*corners).numpy(), atol=1e-12)


def test_boxes_that_touch_or_have_no_size_do_not_overlap():
    boxes = np.array([[0, 0, 10, 10], [10, 0, 10, 10], [5, 5, 0, 0]], float)
    found = box_overlap(boxes, boxes, np.zeros(3, bool))(
        np.array([0, 0, 2, 0]), np.array([1, 2, 2, 0])
    )
    assert found.tolist() == [0, 0, 0, 1]


def test_limits_of_area_ranges_belong_to_both():
    words = area_conditions(np.array([0.0, 1024.0, 9216.0, 1e10, 2e10]))
    inside = [[passed([word], area)[0] == T for area in range(4)] for word in words]
    assert inside == [
        [True, True, False, False],
        [True, True, True, False],
        [True, False, True, True],
        [True, False, False, True],
        [False, False, False, False],
    ]


def test_better_detections_choose_first_and_an_object_is_found_once():
    matches = match_by([[0.6, 0.0], [0.9, 0.7]], objects([2000, 2000]))
    # At 0.50-0.60 the first takes object 0 and the second falls back on object 1 (up to 0.70);
    # from 0.65 on the first fails and the second has object 0 (up to 0.90).
    assert passed(matches.right) == [3, 9]


def test_the_last_of_equal_overlaps_is_taken():
    # The first detection takes object 1, so that the second, which sees only object 0, finds it.
    assert passed(match_by([[0.8, 0.8], [0.8, 0.0]], objects([2000] * 2)).right) == [7, 7]
    assert passed(match_by([[0.8, 0.8], [0.0, 0.8]], objects([2000] * 2)).right) == [7, 0]


def test_an_object_that_counts_goes_before_a_nearer_one_that_does_not():
    matches = match_by([[0.95, 0.6]], objects([2000, 2000], ignored=[True, False]))
    assert passed(matches.right) == [3]  # 0.50, 0.55, 0.60
    assert passed(matches.ignored) == [7]  # above, only the ignored one is near enough


def test_objects_outside_the_area_range_do_not_count():
    matches = match_by([[0.8]], objects([2000]))
    assert [passed(matches.right, area) for area in range(4)] == [[7], [0], [7], [0]]
    assert [passed(matches.ignored, area) for area in range(4)] == [[0], [7], [0], [7]]


def test_ignored_objects_are_used_up_too():
    matches = match_by([[0.8], [0.8]], objects([2000], ignored=[True]))
    assert passed(matches.ignored) == [7, 0]
    assert passed(matches.right) == [0, 0]


def test_a_crowd_is_found_any_number_of_times():
    matches = match_by([[0.8], [0.8]], objects([2000], ignored=[True], crowd=[True]))
    assert passed(matches.ignored) == [7, 7]
    assert passed(matches.right) == [0, 0]


def test_a_detection_within_a_crowd_overlaps_it_wholly():
    detections = np.array([[2, 2, 5, 5], [8, 0, 4, 4]], float)
    region = np.array([[0, 0, 10, 10]], float)
    rows, truths = np.arange(2), np.zeros(2, np.int64)
    assert box_overlap(detections, region, np.ones(1, bool))(rows, truths).tolist() == [1, 0.5]
    expected = pytest.approx([0.25, 8 / 108])
    assert box_overlap(detections, region, np.zeros(1, bool))(rows, truths) == expected


def test_only_equal_keys_meet():
    truth = objects([2000] * 3, keys=[2, 5, 5])
    matches = match_by(np.ones((4, 3)), truth, keys=[1, 2, 5, 9])
    assert passed(matches.right) == [0, T, T, 0]


@pytest.mark.parametrize(("detections", "truths"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_to_match(detections, truths):
    matches = match_by(np.zeros((detections, truths)), objects([2000] * truths))
    assert passed(matches.right) == [0] * detections
