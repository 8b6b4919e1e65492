from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from PIL import Image
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.reporting.figures import (
    DetectionSample,
    draw_ap_by_count,
    draw_detection_grid,
    draw_losses,
    draw_predictions,
    draw_weight_norms,
)
from bacl.reporting.figures.average_precision import mean_around
from bacl.reporting.figures.detections import DrawnBox, _match_truth, _place
from bacl.reporting.figures.losses import has_losses, read_curves
from bacl.reporting.figures.style import head_colour, running_mean
from bacl.reporting.figures.weight_norms import log_count_correlation
from bacl.reporting.groups import shades

BOTH = groups_by_frequency(["r", "f"])
SHADES = shades(BOTH)


def pixels(path, colour):
    """How many pixels of a PNG have this colour."""
    image = imread(path)[..., :3]
    return int((np.abs(image - to_rgb(colour)).max(axis=-1) < 0.02).sum())


def test_running_mean_by_hand():
    values = np.array([1.0, 2.0, 6.0, 9.0])
    np.testing.assert_allclose(running_mean(values, 3), [1.5, 3.0, 17 / 3, 7.5])
    np.testing.assert_array_equal(running_mean(values, 1), values)


def test_mean_around_equals_a_plain_loop():
    generator = np.random.default_rng(0)
    counts, values = generator.integers(1, 30, 12).astype(float), generator.random(12)
    unique, means = mean_around(counts, values)
    for count, mean in zip(unique, means, strict=True):
        weights = [np.exp(-0.5 * (np.log10(count / other) / 0.15) ** 2) for other in counts]
        assert mean == pytest.approx(np.dot(weights, values) / sum(weights))
    np.testing.assert_array_equal(unique, np.unique(counts))
    np.testing.assert_allclose(mean_around(counts, np.full(12, 0.3))[1], 0.3)


def test_correlation_by_hand():
    counts = np.expm1(np.array([1.0, 2.0, 3.0]))
    assert log_count_correlation([0.1, 0.2, 0.3], counts) == pytest.approx(1)
    assert log_count_correlation([0.3, 0.2, 0.1], counts) == pytest.approx(-1)
    assert log_count_correlation([1.0, -2.0, 1.0], counts) == pytest.approx(0, abs=1e-12)
    assert np.isnan(log_count_correlation([0.5, 0.5, 0.5], counts))
    assert np.isnan(log_count_correlation([0.5], [3]))


@pytest.mark.parametrize("count", [3, 70])
def test_ap_by_count(tmp_path, count):
    ap = {"bce": np.linspace(0, 0.5, count), "bacl": torch.linspace(-1, 0.5, count)}
    grouping = groups_by_frequency(["r"] + ["c"] * (count - 2) + ["f"])
    images = np.geomspace(0.001, 5000, count).astype(int)
    path = draw_ap_by_count(tmp_path / "ap.png", ap, images, grouping, ["name"] * count)
    assert path == tmp_path / "ap.png"
    assert pixels(path, head_colour(0)) > 100
    assert pixels(path, head_colour(1)) > 100
    for shade in SHADES.values():
        assert pixels(path, shade.tint) > 10_000


def test_ap_by_count_of_four_groups_by_instances(tmp_path):
    counts = np.array([3, 30, 500, 9000])
    grouping = groups_by_count(counts, [20, 400, 8000])
    path = draw_ap_by_count(
        tmp_path / "ap.png", {"bce": [0.1, 0.2, 0.3, 0.4]}, counts, grouping, list("abcd")
    )
    tints = [shade.tint for shade in shades(grouping).values()]
    assert len(set(tints)) == 4
    for tint in tints:
        assert pixels(path, tint) > 10_000


def test_ap_where_nothing_was_evaluated(tmp_path):
    draw_ap_by_count(tmp_path / "ap.png", {"bce": [-1, -1]}, [1, 20], BOTH, ["a", "b"])
    assert (tmp_path / "ap.png").exists()


@pytest.mark.parametrize("count", [1, 2, 300])
def test_weight_norms(tmp_path, count):
    norms = {"bce": np.linspace(0.2, 1, count), "bacl": torch.ones(count)}
    grouping = groups_by_frequency((["f", "r"] * count)[:count])
    path = draw_weight_norms(tmp_path / "n.png", norms, np.arange(count), grouping)
    assert pixels(path, head_colour(0)) > 20
    assert pixels(path, SHADES["f"].colour) > 500
    assert (pixels(path, SHADES["r"].colour) > 500) == (count > 1)


def sample(scores=(0.9, 0.4), height=48):
    image = np.full((height, 64, 3), 90, dtype=np.uint8)
    boxes = torch.tensor([[4.0, 4.0, 30.0, 30.0], [40.0, 20.0, 60.0, 44.0]])
    found = Detections(boxes, torch.tensor(scores), torch.tensor([1, 0]))
    return DetectionSample(image, boxes[:1], torch.tensor([1]), {"bce": found}, "image 7")


def test_detections_below_the_threshold_are_not_drawn(tmp_path):
    names = ["cup", "lamp"]
    few = draw_detection_grid(tmp_path / "few.png", [sample()], names, BOTH, 0.5)
    many = draw_detection_grid(tmp_path / "many.png", [sample()], names, BOTH, 0.3)
    rare = SHADES["r"].colour  # the second detection; the legend has the colour too
    assert pixels(many, rare) > pixels(few, rare) + 100
    assert abs(pixels(many, SHADES["f"].colour) - pixels(few, SHADES["f"].colour)) < 20


def test_masks_tint_the_picture(tmp_path):
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
    matched = _match_truth(boxes, torch.tensor([1, 0, 1, 1]), truth)
    assert matched == [True, False, False, True]  # IoU of the last: 26 / 39


def test_captions_of_the_same_box_do_not_cover_each_other():
    taken = []
    box = DrawnBox((20.0, 40.0, 80.0, 90.0), "cup 0.50", "red", True)
    for _ in range(5):
        _place(box, 0.5, 200, 150, taken)
    for index, (left, top, right, bottom) in enumerate(taken):
        assert left >= 0
        assert top >= 0
        for other in taken[:index]:
            apart = left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
            assert apart


def write_metrics(path, text):
    path.write_text(text)
    return path


def test_curves_take_the_later_of_repeated_steps(tmp_path):
    path = write_metrics(
        tmp_path / "m.csv",
        "step,train/box,val/AP,train/bce_classification\n"
        "0,3.0,,1\n10,2.0,,1\n10,1.5,,\n20,1.0,0.5,2\n",
    )
    curves = read_curves(path)
    assert list(curves) == ["bce_classification", "box"]
    assert [values.tolist() for values in curves["box"]] == [[0, 10, 20], [3.0, 1.5, 1.0]]
    assert curves["bce_classification"][0].tolist() == [0, 10, 20]
    assert pixels(draw_losses(tmp_path / "losses.png", path), head_colour(0)) > 50


def test_errors_name_file_and_line(tmp_path):
    assert not has_losses(write_metrics(tmp_path / "m.csv", "step,val/AP\n0,1\n"))
    assert has_losses(write_metrics(tmp_path / "m.csv", "step,train/box\n0,1\n"))
    with pytest.raises(ValueError, match=r"m\.csv: no column train/"):
        read_curves(write_metrics(tmp_path / "m.csv", "step,val/AP\n0,1\n"))
    with pytest.raises(ValueError, match=r"m\.csv: line 3, train/box: 'x'"):
        read_curves(write_metrics(tmp_path / "m.csv", "step,train/box\n0,1\n1,x\n"))


def test_values_that_are_not_finite_do_not_hide_the_others(tmp_path):
    path = write_metrics(tmp_path / "m.csv", "step,train/box\n0,nan\n1,2.0\n2,inf\n3,1.0\n")
    assert pixels(draw_losses(tmp_path / "losses.png", path), head_colour(0)) > 50


@dataclass
class Masked(Detections):
    """Detections with a mask each, as COCO run lengths."""

    masks: list = field(default_factory=list)


def test_predictions_are_drawn_with_boxes_and_masks_in_their_category_colour(tmp_path):
    image = np.full((100, 200, 3), 255, dtype=np.uint8)
    boxes = torch.tensor([[20.0, 30, 90, 80], [110, 30, 180, 80], [5, 5, 195, 95]])
    scores, labels = torch.tensor([0.9, 0.6, 0.2]), torch.tensor([0, 1, 2])
    area = np.zeros((100, 200), dtype=np.uint8)
    area[35:75, 25:85] = 1
    masks = [coco_mask.encode(np.asfortranarray(area * kept)) for kept in (1, 0, 1)]
    plain = Detections(boxes, scores, labels)
    pictures = []
    for name, found in (("plain", plain), ("masked", Masked(boxes, scores, labels, masks))):
        path = draw_predictions(
            tmp_path / f"{name}.png", image, {"a": found}, ["one", "two", "three"], 0.5
        )
        pictures.append(np.asarray(Image.open(path).convert("RGB")).astype(int))
    without, masked = pictures
    changed = (without != masked).any(2)
    share = 40 * 60 / (100 * 200)  # of the image, which fills most of the picture
    assert 0.7 * share < changed.mean() < share
    blue = np.array([0, 114, 178])  # the first colour, of category "one"
    rows, columns = changed.nonzero()
    middle = masked[int(np.median(rows)), int(np.median(columns))]
    np.testing.assert_allclose(middle, 255 + 0.5 * (blue - 255), atol=3)
    # The third detection is below the threshold: nothing of its colour is drawn.
    green = np.array([0, 158, 115])
    assert not (np.abs(without - green).sum(2) < 30).any()
    orange = np.array([213, 94, 0])
    assert (np.abs(without - orange).sum(2) < 30).any()
