import numpy as np
import torch

from bacl.data.augmentation.frames import Frames
from bacl.data.batch import padded_sides
from bacl.detectors.anchors import AnchorGenerator
from bacl.detectors.boxes import pairwise_iou
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.view import View, distinct


def test_the_best_overlap_is_that_with_all_anchors():
    strides, (width, height) = [4, 8, 16, 32, 64], (150, 100)
    generator = AnchorGenerator(4, [0.5, 1.0, 2.0], strides)
    base = generator.base.double().numpy()
    shapes = AnchorShapes(base[:, :, 2:] - base[:, :, :2], np.array(strides))
    draws = np.random.default_rng(0)
    low = draws.uniform(0, (width - 8, height - 8), (200, 2))
    boxes = np.concatenate([low, low + draws.uniform(4, (width, height) - low)], axis=1)
    rows, columns = padded_sides(height, width)
    anchors = generator([(-(-rows // stride), -(-columns // stride)) for stride in strides])
    expected = pairwise_iou(torch.from_numpy(boxes), torch.cat(anchors)).amax(1)
    found = shapes.best_overlaps(boxes, np.tile([width, height], (200, 1)))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def view(moved, size, name="stage"):
    moved, owners = np.array(moved, dtype=float).reshape(-1, 4), np.zeros(len(moved), dtype=int)
    frames = Frames(np.ones((1, 2)), np.zeros((1, 2)), np.array([size]))
    return View(name, "train", frames, owners, np.arange(len(moved)), moved)


def test_what_of_an_object_lies_in_the_frame():
    found = view([[0, 0, 10, 10], [90, 0, 110, 20], [100, 0, 120, 20]], (100, 50))
    assert found.shares.tolist() == [1, 0.5, 0]
    assert found.seen.tolist() == [True, True, False]
    assert found.boxes[1].tolist() == [90, 0, 100, 20]
    np.testing.assert_allclose(found.lengths, [10, 200**0.5, 0])


def test_views_that_show_the_same_are_one():
    same = [view([[0, 0, 10, 10]], (100, 50), name) for name in ("first", "second")]
    other = view([[0, 0, 10, 10]], (100, 60), "third")
    assert [each.name for each in distinct([*same, other])] == ["first, second", "third"]


def test_a_view_without_objects():
    empty = view([], (100, 50))
    assert empty.lengths.tolist() == empty.shares.tolist() == []
    assert len(empty.reached(AnchorShapes(np.ones((1, 1, 2)), np.array([4])))) == 0
