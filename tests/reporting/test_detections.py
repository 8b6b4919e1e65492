"""Detections beside the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.reporting.figures import DetectionSample, draw_detection_grid
from bacl.reporting.figures.detection_grid import balanced_threshold, outlines_of
from bacl.reporting.figures.panel import Outline
from bacl.reporting.figures.style import MUTED
from bacl.reporting.group_colours import shades

BOTH = groups_by_frequency(["r", "f"])
SHADES = shades(BOTH)


def sample(scores=(0.9, 0.4), height=48):
    image = np.full((height, 64, 3), 90, dtype=np.uint8)
    boxes = torch.tensor([[4.0, 4.0, 30.0, 30.0], [40.0, 20.0, 60.0, 44.0]])
    found = Detections(boxes, torch.tensor(scores), torch.tensor([1, 0]))
    return DetectionSample(image, boxes[:1], torch.tensor([1]), {"bce": found}, "image 7")


def test_detections_below_the_threshold_are_not_drawn(tmp_path, pixels):
    names = ["cup", "lamp"]
    few = draw_detection_grid(tmp_path / "few.png", [sample()], names, BOTH, 0.5)
    many = draw_detection_grid(tmp_path / "many.png", [sample()], names, BOTH, 0.3)
    rare = SHADES["r"].colour  # the second detection; the legend has the colour too
    assert pixels(many, rare) > pixels(few, rare) + 100
    assert abs(pixels(many, SHADES["f"].colour) - pixels(few, SHADES["f"].colour)) < 20


def test_masks_tint_the_picture(tmp_path, pixels):
    plain, masked = sample(), sample()
    bitmaps = np.zeros((48, 64, 2), np.uint8, order="F")
    bitmaps[5:29, 5:29, 0] = 1  # of the frequent lamp
    masked.detections["bce"].masks = coco_mask.encode(bitmaps)
    colour = 0.5 * np.array(to_rgb(SHADES["f"].colour)) + 0.5 * 90 / 255
    seen = [
        pixels(draw_detection_grid(tmp_path / "m.png", [each], ["cup", "lamp"], BOTH, 0.5),
               colour)
        for each in (plain, masked)
    ]  # fmt: skip
    assert seen[0] < 100
    assert seen[1] > 5000
    annotated = replace(masked, masks=coco_mask.encode(bitmaps[:, :, :1]))
    path = draw_detection_grid(tmp_path / "t.png", [annotated], ["cup", "lamp"], BOTH, 0.5)
    assert pixels(path, colour) > 1.8 * seen[1]


def test_grid_with_images_of_any_shape_and_without_objects(tmp_path):
    nothing = Detections(torch.empty(0, 4), torch.empty(0), torch.empty(0, dtype=torch.int64))
    empty = DetectionSample(
        np.zeros((20, 90, 3), np.uint8), torch.empty(0, 4), torch.empty(0, dtype=torch.int64),
        {"bce": nothing},
    )  # fmt: skip
    samples = [sample(), sample(height=200), empty]
    path = draw_detection_grid(tmp_path / "grid.png", samples, ["cup", "lamp"], BOTH, 0.1)
    height, width = imread(path).shape[:2]
    assert 1.0 < height / width < 1.6


def test_grid_refuses_samples_of_different_heads(tmp_path):
    other = sample()
    other = DetectionSample(
        other.image, other.boxes, other.labels, {"bacl": other.detections["bce"]}
    )
    for samples in ([sample(), other], []):
        with pytest.raises(ValueError, match="same heads"):
            draw_detection_grid(tmp_path / "grid.png", samples, ["a", "b"], BOTH, 0.1)


def test_match_needs_category_and_overlap():
    truth = sample()
    box = truth.boxes[0]
    boxes = torch.stack([box, box, box + 20, box + torch.tensor([0, 0, 13, 0])])
    outlines = outlines_of(boxes, torch.tensor([1, 0, 1, 1]), truth)
    right, wrong = Outline.SOLID, Outline.DASHED
    assert outlines == [right, wrong, wrong, right]  # IoU of the last: 26 / 39


def test_what_is_not_judged_is_neither_right_nor_wrong():
    truth = replace(sample(), judged=np.array([False, False]))
    boxes = torch.stack([truth.boxes[0], truth.boxes[0] + 20, truth.boxes[0]])
    labels = torch.tensor([1, 1, 0])
    unknown = Outline.THIN
    assert outlines_of(boxes, labels, truth) == [Outline.SOLID, unknown, unknown]
    assert outlines_of(boxes, labels, replace(truth, judged=np.array([True, False]))) == [
        Outline.SOLID,
        unknown,
        Outline.DASHED,
    ]
    assert outlines_of(boxes[:0], labels[:0], truth) == []


def test_what_is_not_judged_is_grey_and_in_the_legend(tmp_path, pixels):
    grey = []
    for judged in (None, np.array([False, True])):
        truth = replace(sample(), judged=judged)
        path = draw_detection_grid(tmp_path / "g.png", [truth], ["cup", "lamp"], BOTH, 0.1)
        grey.append(pixels(path, MUTED))
    assert grey[1] > grey[0] + 300


def test_the_legend_names_the_groups_that_have_categories(tmp_path, pixels):
    path = draw_detection_grid(tmp_path / "g.png", [sample()], ["cup", "lamp"], BOTH, 1.1)
    assert pixels(path, SHADES["r"].colour) > 50  # no detection is drawn, nor a rare object
    assert pixels(path, SHADES["c"].colour) == 0


def test_as_many_detections_are_drawn_as_there_are_objects():
    few, many = sample((0.9, 0.4)), sample((0.7, 0.2))
    assert balanced_threshold([few], "bce") == pytest.approx(0.9)
    assert balanced_threshold([few, many], "bce") == pytest.approx(0.7)  # two objects
    scaled = replace(many, detections={"bce": replace(many.detections["bce"])})
    scaled.detections["bce"].scores = many.detections["bce"].scores / 100
    assert balanced_threshold([scaled], "bce") == pytest.approx(0.007)  # the same boxes are drawn
    assert balanced_threshold([replace(few, boxes=few.boxes.repeat(9, 1))], "bce") == (
        pytest.approx(0.4)
    )
    nothing = Detections(torch.empty(0, 4), torch.empty(0), torch.empty(0, dtype=torch.int64))
    assert balanced_threshold([replace(few, detections={"bce": nothing})], "bce") == 1
    objects = few.boxes[:0]
    assert balanced_threshold([replace(few, boxes=objects)], "bce") == pytest.approx(0.9)


def test_the_threshold_of_a_head_is_its_own(tmp_path, pixels):
    high, low = sample((0.9, 0.4)), sample((0.09, 0.04))
    both = replace(high, detections=high.detections | {"bacl": low.detections["bce"]})
    drawn = {}
    for threshold in (None, 0.9, 0.09, 0.04):
        path = draw_detection_grid(tmp_path / "g.png", [both], ["cup", "lamp"], BOTH, threshold)
        drawn[threshold] = pixels(path, SHADES["f"].colour), pixels(path, SHADES["r"].colour)
    assert drawn[None][0] > drawn[0.9][0] + 100  # the matching box of the lower head too
    assert drawn[None][1] + 100 < drawn[0.09][1]  # but no other one
