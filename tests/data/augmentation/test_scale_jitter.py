"""Large-scale jitter: where pictures, boxes and masks land."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.frames import frames_of
from bacl.data.augmentation.placement import Placement
from bacl.data.augmentation.scale_jitter import ScaleJitter
from bacl.data.raw_sample import visible


def sample(height, width, boxes, masks=False):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    made = {
        "image": tv_tensors.Image(torch.full((3, height, width), 200, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.arange(len(boxes)),
    }
    if masks:
        bitmaps = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
        for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes.int().tolist(), strict=True):
            bitmap[y1:y2, x1:x2] = 1
        made["masks"] = tv_tensors.Mask(bitmaps)
    return made


def placed(jitter, placement, given, monkeypatch):
    monkeypatch.setattr(jitter, "draw_placement", lambda old: placement)
    return jitter(given)


def test_a_crop_of_an_enlarged_picture_by_hand(monkeypatch):
    # 10 x 20 pixels, twice as large: 20 x 40, of which 16 x 16 are kept from (top 2, left 10) on
    placement = Placement((10, 20), (20, 40), (2, 10, 16, 16), False, (16, 16))
    given = sample(10, 20, [[6, 2, 9, 5], [0, 0, 20, 10], [0, 0, 4, 4]], masks=True)
    found = placed(ScaleJitter(16, (0.1, 2.0), 0.5), placement, given, monkeypatch)
    # x: 2 · 6 - 10 = 2 to 2 · 9 - 10 = 8; y: 2 · 2 - 2 = 2 to 2 · 5 - 2 = 8
    assert found["boxes"].tolist() == [[2, 2, 8, 8], [0, 0, 16, 16], [0, 0, 0, 6]]
    assert found["size"] == (16, 16)
    assert found["masks"][0].nonzero().aminmax(dim=0).max.tolist() == [7, 7]
    assert found["masks"][0].sum() == 36
    kept = visible(found)
    assert kept["labels"].tolist() == [0, 1]
    assert kept["masks"].shape == (2, 16, 16)


def test_a_mirrored_small_picture_lies_in_the_upper_left(monkeypatch):
    placement = Placement((10, 20), (5, 10), (0, 0, 5, 10), True, (16, 16))
    given = sample(10, 20, [[2, 0, 6, 4]])
    found = placed(ScaleJitter(16, (0.1, 2.0), 0.5), placement, given, monkeypatch)
    assert found["boxes"].tolist() == [[7, 0, 9, 2]]  # 1 to 3 from the right border, at 10
    assert found["size"] == (5, 10)
    assert found["image"].shape == (3, 16, 16)
    assert (found["image"][:, :5, :10] == 200).all()
    assert found["image"].sum() == 3 * 5 * 10 * 200


def test_scales_fill_their_range_and_objects_follow_pixels():
    jitter = ScaleJitter(64, (0.1, 2.0), 0.5)
    given = sample(40, 60, [[30, 10, 50, 30]])
    given["image"][:] = 0
    given["image"][:, 10:30, 30:50] = 255
    sides, seen = [], 0
    for _ in range(200):
        found = jitter(given)
        sides.append(max(found["size"]))
        box = found["boxes"][0]
        x1, y1, x2, y2 = box.tolist()
        if (x2 - x1) * (y2 - y1) > 25:
            bright = (found["image"][0] > 128).nonzero()
            low, high = bright.amin(0).tolist(), (bright.amax(0) + 1).tolist()
            assert np.abs(np.array([x1, y1, x2, y2]) - [*low[::-1], *high[::-1]]).max() <= 1.5
            seen += 1
    assert seen > 80
    assert min(sides) < 12
    assert max(sides) == 64  # cropped from there on
    assert 0.3 < np.mean(np.array(sides) == 64) < 0.7  # of scales in (1, 2) of (0.1, 2)


def test_an_image_without_objects_and_one_that_loses_all():
    jitter = ScaleJitter(8, (2.0, 2.0), 0.0)
    empty = jitter(sample(10, 10, [], masks=True))
    assert empty["boxes"].shape == (0, 4)
    assert empty["masks"].shape == (0, 8, 8)
    torch.manual_seed(0)
    corner = [len(visible(jitter(sample(10, 10, [[0, 0, 1, 1]])))["boxes"]) for _ in range(30)]
    assert 0 < sum(corner) < 30


@pytest.mark.parametrize("size", [(30, 50), (50, 30)])
def test_copy_paste_places_alike(size):
    """The same draws, in the same order."""
    pastes = CopyPaste(32, (0.5, 1.5), 0.5, 0, 10, 300)
    drawn = []
    for transform in (ScaleJitter(32, (0.5, 1.5), 0.5), pastes):
        torch.manual_seed(3)
        drawn.append([transform.draw_placement(size) for _ in range(20)])
    assert drawn[0] == drawn[1]


def test_frames_are_known_without_pixels():
    sizes = np.array([[40, 60]] * 400)
    frames = frames_of(ScaleJitter(64, (0.1, 2.0), 0.5), sizes)
    assert frames.size.max() == 64
    assert frames.scale.min() == pytest.approx(0.1 * 64 / 60, rel=0.15)
    assert frames.scale.max() == pytest.approx(2.0 * 64 / 60, rel=0.05)
