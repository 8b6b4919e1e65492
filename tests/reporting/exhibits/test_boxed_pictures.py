import numpy as np
import pytest
import torch

from bacl.data.batch import Detections
from bacl.reporting.exhibits.boxed_pictures import BOXES, PICTURES, SIDE, TRUTH, boxed_pictures
from bacl.reporting.figures.detection_grid import DetectionSample

NAMES = [f"category {label}" for label in range(1203)]


def detections(boxes, labels, scores):
    return Detections(
        torch.tensor(boxes).reshape(-1, 4).float(), torch.tensor(scores).float(),
        torch.tensor(labels, dtype=torch.int64),
    )  # fmt: skip


def sample(found, judged=None, size=(50, 100)):
    return DetectionSample(
        image=np.zeros((*size, 3), np.uint8),
        boxes=torch.tensor([[10.0, 10.0, 30.0, 40.0]]),
        labels=torch.tensor([3]),
        detections=found,
        title="image 7",
        judged=judged,
    )


def test_truth_and_each_head_are_layers_with_corners_as_shares_of_the_sides():
    found = detections([[10, 10, 30, 40]], [3], [0.9])
    shown = boxed_pictures([sample({"bacl": found, "bce": found})], NAMES, 0.5)
    [picture] = shown.pictures
    assert list(picture.layers) == [TRUTH, "bacl", "bce"]
    for layer in picture.layers.values():
        np.testing.assert_allclose(layer.corners, [[0.1, 0.2, 0.3, 0.8]])
    assert picture.layers["bacl"].captions == ["category 3 0.9"]
    assert picture.layers[TRUTH].scores is None
    assert shown.names == {3: "category 3"}


def test_what_is_wrong_says_so_and_what_is_not_judged_is_a_layer_apart():
    judged = np.ones(len(NAMES), bool)
    judged[5] = False
    far = [60, 10, 80, 40]
    found = detections([far, far, [10, 10, 30, 40]], [4, 5, 3], [0.9, 0.8, 0.7])
    shown = boxed_pictures([sample({"bacl": found}, judged)], NAMES, 0.5)
    layers = shown.pictures[0].layers
    assert layers["bacl"].captions == ["category 4 0.9, wrong", "category 3 0.7"]
    assert layers["bacl, not judged"].captions == ["category 5 0.8, not judged"]
    assert list(shown.names) == [3, 4, 5]


def test_pictures_boxes_names_and_pixels_are_bounded():
    many = detections([[0, 0, 9, 9]] * 300, [label * 4 for label in range(300)], [0.9] * 300)
    samples = [sample({"bacl": many}, size=(1200, 3000))] * (PICTURES + 3)
    shown = boxed_pictures(samples, NAMES, 0.1)
    assert len(shown.pictures) == PICTURES
    assert shown.pictures[0].image.shape == (SIDE * 2 // 5, SIDE, 3)
    assert len(shown.pictures[0].layers["bacl"].labels) == BOXES
    assert len(shown.names) == BOXES + 1


def test_a_head_without_a_box_has_no_layer_and_its_own_threshold():
    weak = detections([[10, 10, 30, 40], [0, 0, 5, 5]], [3, 3], [0.02, 0.01])
    shown = boxed_pictures([sample({"none": detections([], [], []), "weak": weak})], NAMES, None)
    assert list(shown.pictures[0].layers) == [TRUTH, "weak"]
    assert len(shown.pictures[0].layers["weak"].labels) == 1


def test_without_a_picture_there_is_nothing_to_show():
    with pytest.raises(ValueError, match="no image"):
        boxed_pictures([], NAMES, None)
