import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn import functional as F

from bacl.detectors import mask_paste
from bacl.detectors.mask_paste import pasted, run_lengths

BOXES = torch.tensor(
    [
        [3.0, 5.0, 40.0, 30.0],
        [-4.5, 10.2, 12.3, 70.0],  # beyond the picture on two sides
        [20.4, 20.6, 21.1, 21.3],  # smaller than a pixel
        [0.0, 0.0, 60.0, 48.0],
        [7.0, 7.0, 7.0, 20.0],  # without area
    ]
)
SIZE = (48, 60)


def by_grid_sample(masks, boxes, size):
    """One mask after the other over the whole picture."""
    height, width = size
    pictures = []
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        x = (torch.arange(width) + 0.5 - left) / (right - left) * 2 - 1
        y = (torch.arange(height) + 0.5 - top) / (bottom - top) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)
        picture = F.grid_sample(mask[None, None], grid[None], align_corners=False)
        pictures.append(picture[0, 0])
    return torch.stack(pictures)


def test_recorded_masks(recorded_masks):
    probabilities = torch.from_numpy(recorded_masks["own_logits"]).sigmoid()
    boxes = torch.from_numpy(recorded_masks["proposals"])
    codes = run_lengths(probabilities, boxes, (64, 80), 0.5)
    ours = coco_mask.decode(codes).transpose(2, 0, 1).astype(bool)
    assert np.array_equal(ours, recorded_masks["pasted"])


def test_sampling_on_a_grid():
    masks = torch.rand(4, 28, 28)
    expected = by_grid_sample(masks, BOXES[:4], SIZE)
    torch.testing.assert_close(
        pasted(masks, BOXES[:4], SIZE).transpose(1, 2), expected, rtol=0, atol=1e-5
    )


def test_a_full_mask_fills_its_box_by_hand():
    # A bin is 2.5 pixels. Along an axis the outermost centre inside, 10.5, lies 0.3 bins beyond the
    # first bin's centre: 0.7, and 0.49 in the corner. The next, 9.5, lies 0.7 beyond it: 0.3.
    codes = run_lengths(torch.ones(1, 4, 4), torch.tensor([[10.0, 10.0, 20.0, 20.0]]), SIZE, 0.4)
    bitmap = coco_mask.decode(codes)[:, :, 0]
    assert bitmap.sum() == bitmap[10:20, 10:20].sum() == 100
    assert codes[0]["size"] == list(SIZE)


def test_boxes_without_area_show_nothing():
    codes = run_lengths(torch.ones(1, 28, 28), BOXES[4:], SIZE, 0.5)
    assert coco_mask.area(codes).tolist() == [0]


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_bunches_of_masks_change_nothing(monkeypatch, threshold):
    masks = torch.rand(5, 28, 28)
    together = run_lengths(masks, BOXES, SIZE, threshold)
    monkeypatch.setattr(mask_paste, "PIXELS_AT_ONCE", 2 * SIZE[0] * SIZE[1])
    assert run_lengths(masks, BOXES, SIZE, threshold) == together
    monkeypatch.setattr(mask_paste, "PIXELS_AT_ONCE", 1)
    assert run_lengths(masks, BOXES, SIZE, threshold) == together


def test_no_detection():
    assert run_lengths(torch.zeros(0, 28, 28), torch.zeros(0, 4), SIZE, 0.5) == []


def test_autocast_does_not_move_edges():
    masks = torch.rand(5, 28, 28)
    expected = run_lengths(masks, BOXES, SIZE, 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert run_lengths(masks, BOXES, SIZE, 0.5) == expected
