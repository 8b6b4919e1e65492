"""Boundary IoU equals eroded masks of OpenCV, pixel by pixel."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bacl.evaluation.boundary_overlap import Boundary, boundary_iou
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from bacl.messages.errors import OptionError

HEIGHT, WIDTH = 90, 140


def plain_boundary(mask):
    """As published: the mask less what is left of it when it is eroded step by step."""
    steps = max(1, round(0.02 * np.hypot(*mask.shape)))
    framed = np.pad(mask, 1)  # what is beyond the image is no mask
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=steps)
    return mask - eroded[1:-1, 1:-1]


def plain_iou(first, second):
    union = (first | second).sum()
    return (first & second).sum() / union if union else 0.0


def random_mask(draw):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(draw.integers(0, 4)):
        centre = (int(draw.integers(0, WIDTH)), int(draw.integers(0, HEIGHT)))
        axes = (int(draw.integers(1, 50)), int(draw.integers(1, 40)))
        cv2.ellipse(mask, centre, axes, float(draw.integers(0, 180)), 0, 360, 1, -1)
    return mask


@pytest.mark.parametrize("seed", range(20))
def test_random_masks_equal_published_erosion(seed):
    draw = np.random.default_rng(seed)
    masks = [random_mask(draw) for _ in range(2)]
    expected = [plain_boundary(mask) for mask in masks]
    found = [Boundary.of(mask) for mask in masks]
    for own, each in zip(found, expected, strict=True):
        whole = np.zeros((HEIGHT, WIDTH), bool)
        height, width = own.pixels.shape
        whole[own.top : own.top + height, own.left : own.left + width] = own.pixels
        assert (whole == each).all()
    assert boundary_iou(*found) == pytest.approx(plain_iou(*expected))


def test_by_hand():
    # The diagonal of 3 x 4 is 5, and 2 % of it less than a pixel: the outline is one pixel wide.
    mask = np.zeros((3, 4), np.uint8)
    mask[:, :3] = 1
    own = Boundary.of(mask)
    assert own.pixels.tolist() == [[True] * 3, [True, False, True], [True] * 3]
    other = Boundary.of(np.roll(mask, 1, axis=1))
    assert boundary_iou(own, other) == 4 / 12
    assert boundary_iou(own, other, crowd=True) == 4 / 8


def case():
    """One object, and a detection of it whose mask is a square with a notch."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:70, 30:90] = 1
    found = mask.copy()
    found[20:40, 50:60] = 0
    code = coco_mask.encode(np.asfortranarray(found))
    corners = [30, 20, 90, 20, 90, 70, 30, 70]
    annotations = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": HEIGHT, "width": WIDTH}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 20, 60, 50], "area": 3000,
             "segmentation": [corners]}
        ],
        "categories": [{"id": 1, "name": "cup", "frequency": "f"}],
    }  # fmt: skip
    segmentation = {**code, "counts": code["counts"].decode()}
    box = [30, 20, 60, 50]
    record = {"image_id": 1, "category_id": 1, "score": 0.9, "bbox": box}
    return annotations, [{**record, "segmentation": segmentation}], mask, found


def test_average_precision_goes_by_the_lower_of_both(open_table, tmp_path):
    annotations, results, mask, found = case()
    table = open_table(annotations)[1]
    (tmp_path / "results.json").write_text(json.dumps(results))
    metric = LVISAveragePrecision(table, masks=True, boundary=True)
    metric.update(load_results(tmp_path / "results.json", table, masks=True))
    measured = {name: float(value) for name, value in metric.compute().items()}
    thresholds = np.linspace(0.5, 0.95, 10)
    area, outline = plain_iou(mask, found), plain_iou(plain_boundary(mask), plain_boundary(found))
    assert outline < area
    assert measured["segm/AP"] == pytest.approx((thresholds <= area).mean())
    assert measured["segm/AP_boundary"] == pytest.approx((thresholds <= outline).mean())
    assert measured["segm/AP_boundary_f"] == measured["segm/AP_boundary"]
    assert [each.name for each in metric.measures] == list(measured)


def test_boundaries_are_of_masks(open_table):
    with pytest.raises(OptionError, match=r"metric\.boundary=true"):
        LVISAveragePrecision(open_table(case()[0])[1], boundary=True)
