from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from bacl.data.augmentation.copy_paste import Canvas, CopyPaste
from bacl.data.augmentation.placement import Placement, boxes_of, without


def rectangle(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


@dataclass
class Picture:
    """A picture of one colour with rectangular objects (x, y, width, height)."""

    rectangles: list
    colour: int = 0
    size: tuple = (100, 100)

    @property
    def image(self):
        return torch.full((3, *self.size), self.colour, dtype=torch.uint8)

    @property
    def labels(self):
        return torch.arange(len(self.rectangles)) + 10 * self.colour

    @property
    def outlines(self):
        return [[np.array(rectangle(*box)).reshape(-1, 2)] for box in self.rectangles]


def copy_paste(**options):
    """On a canvas of 100 pixels, pictures as they are, unless asked otherwise."""
    unchanged = {
        "canvas": 100,
        "scale": (1.0, 1.0),
        "flip_probability": 0.0,
        "max_pasted": 99,
        "box_tolerance": 10,
        "area_threshold": 300,
    }
    return CopyPaste(**{**unchanged, **options})


def pasted(first, second, **options):
    """`first` under all objects of `second`."""
    augment = copy_paste(**options)
    return augment.paste(augment.place(first), augment.place(second))


def test_pasted_pixels_and_objects_follow_the_destination():
    canvas = pasted(Picture([(0, 0, 10, 10)], 1), Picture([(20, 30, 40, 50)], 2))
    expected = torch.full((3, 100, 100), 1, dtype=torch.uint8)
    expected[:, 30:80, 20:60] = 2
    assert torch.equal(canvas.image, expected)
    assert canvas.boxes.tolist() == [[0, 0, 10, 10], [20, 30, 60, 80]]
    assert canvas.labels.tolist() == [10, 20]


def test_boxes_follow_the_visible_pixels():
    # the right 30 columns of 40 x 40 are hidden: 400 pixels are left, more than 300
    canvas = pasted(Picture([(10, 10, 40, 40)]), Picture([(20, 10, 40, 40)]))
    assert canvas.boxes.tolist() == [[10, 10, 20, 50], [20, 10, 60, 50]]
    assert coco_mask.area(canvas.masks).tolist() == [400, 1600]


def test_thresholds_are_inclusive_for_the_box_and_strict_for_the_area():
    first = Picture([(10, 10, 30, 20)])  # 600 pixels
    assert len(pasted(first, Picture([(10, 10, 10, 20)])).labels) == 2  # a side moves by 10
    assert len(pasted(first, Picture([(10, 10, 11, 20)])).labels) == 2  # by 11, 380 pixels left
    assert len(pasted(first, Picture([(10, 10, 15, 20)])).labels) == 1  # by 15, 300 pixels left


def test_an_object_without_a_pixel_never_stays():
    assert pasted(Picture([(0, 0, 5, 5)], 1), Picture([(0, 0, 50, 50)], 2)).labels.tolist() == [20]


def test_occlusion_equals_the_one_of_bitmaps():
    generator = np.random.default_rng(0)
    corners = generator.integers(0, 60, (11, 2)).tolist()
    first, second = (Picture([(*xy, 30, 30) for xy in part]) for part in (corners[:8], corners[8:]))
    augment = copy_paste()
    before, above = augment.place(first), augment.place(second)
    bitmaps = coco_mask.decode(before.masks).transpose(2, 0, 1).astype(bool)
    covered = coco_mask.decode(above.masks).any(2)
    expected = []
    for box, mask in zip(before.boxes, bitmaps & ~covered, strict=True):
        if not mask.any():
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        after = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        if (abs(after - box) <= 10).all() or mask.sum() > 300:
            expected.append(after)
    after = augment.paste(before, above)
    np.testing.assert_array_equal(after.boxes[: len(expected)], expected)
    np.testing.assert_array_equal(after.boxes[len(expected) :], above.boxes)


def test_the_number_of_pasted_objects_is_uniform():
    second = Picture([(10 * number, 0, 5, 5) for number in range(3)], 1)
    first = Picture([(0, 50, 5, 5)])
    augment = copy_paste()
    counts = np.zeros(4)
    for _ in range(400):
        counts[len(augment(first, lambda: second)["labels"]) - 1] += 1
    np.testing.assert_allclose(counts / 400, 0.25, atol=0.08)


def test_at_most_max_pasted_objects():
    second = Picture([(10 * number, 0, 5, 5) for number in range(9)], 1)
    augment = copy_paste(max_pasted=2)
    sizes = {len(augment(Picture([(0, 50, 5, 5)]), lambda: second)["labels"]) for _ in range(60)}
    assert sizes == {1, 2, 3}


def test_the_canvas_and_the_size_of_the_picture():
    augment = copy_paste(canvas=64, scale=(0.5, 0.5))
    sample = augment.place(Picture([(0, 0, 100, 50)], 7, size=(50, 100))).sample(with_masks=True)
    assert sample["size"] == (16, 32)
    assert sample["image"].shape == (3, 64, 64)
    assert sample["image"][:, :16, :32].unique().tolist() == [7]
    assert not sample["image"][:, 16:].any()
    assert not sample["image"][:, :, 32:].any()
    masks = sample["masks"].masks.bitmaps()
    assert masks.shape == (1, 64, 64)
    assert masks.sum() == 16 * 32


def sample_source():
    return Picture([(0, 0, 10, 10)], 2)


def test_a_picture_larger_than_the_canvas_is_cropped():
    augment = copy_paste(canvas=64, scale=(1.25, 1.25))
    tops = set()
    for _ in range(60):
        placement = augment.draw_placement((100, 50))
        top, left, height, width = placement.crop
        assert placement.new == (80, 40)
        assert (height, width, left) == (64, 40, 0)
        tops.add(top)
    assert min(tops) == 0
    assert max(tops) == 16


def test_the_long_side_lies_within_the_scale():
    augment = copy_paste(canvas=1280, scale=(0.8, 1.25))
    sides = [max(augment.draw_placement((480, 640)).new) for _ in range(300)]
    assert 1024 <= min(sides) < 1060
    assert 1560 < max(sides) < 1600


def test_objects_that_the_crop_removes_are_gone():
    augment = copy_paste(canvas=50, scale=(2.0, 2.0))  # shows 50 of 100 columns and rows
    picture = Picture([(0, 0, 100, 4), (0, 96, 100, 4)])
    found = [augment.place(picture) for _ in range(100)]
    assert None in found
    assert {len(canvas.labels) for canvas in found if canvas} == {1}


def test_no_object_left_gives_no_sample():
    assert copy_paste()(Picture([]), sample_source) is None


def test_a_source_without_objects_is_drawn_again():
    sources = iter([Picture([]), Picture([]), sample_source()])
    assert copy_paste()(Picture([(0, 0, 9, 9)]), lambda: next(sources)) is not None
    assert next(sources, None) is None


def test_sources_that_never_show_an_object():
    with pytest.raises(RuntimeError, match="canvas=100"):
        copy_paste()(Picture([(0, 0, 9, 9)]), lambda: Picture([]))


def test_masks_of_the_sample_agree_with_its_boxes():
    augment = copy_paste(scale=(0.8, 1.25), flip_probability=0.5)
    for _ in range(10):
        first = Picture([(10, 20, 30, 40), (50, 50, 40, 20)], 1)
        sample = augment(first, sample_source, True)
        masks = sample["masks"].masks.bitmaps()
        assert masks.shape == (len(sample["labels"]), 100, 100)
        for mask, box in zip(masks, sample["boxes"].int().tolist(), strict=True):
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert [int(end) for end in ends] == box


def test_placed_boxes_equal_resized_cropped_flipped_boxes():
    placement = Placement((50, 100), (100, 200), (20, 40, 64, 64), True, (64, 64))
    mask = placement.run_lengths([np.array(rectangle(30, 15, 10, 12)).reshape(-1, 2)])
    # doubled: x 60..80, y 30..54; cropped: x 20..40, y 10..34; flipped: x 24..44
    assert boxes_of([mask]).tolist() == [[24, 10, 44, 34]]


def test_a_bitmap_is_placed_like_its_polygon():
    polygon = np.array(rectangle(30, 15, 10, 12)).reshape(-1, 2)
    bitmap = np.zeros((50, 100), np.uint8)
    bitmap[15:27, 30:40] = 1
    for flip in (False, True):
        placement = Placement((50, 100), (100, 200), (20, 40, 64, 64), flip, (64, 64))
        masks = [placement.run_lengths([polygon]), placement.run_lengths(bitmap)]
        first, second = coco_mask.decode(masks).transpose(2, 0, 1)
        np.testing.assert_array_equal(first, second)


def test_a_polygon_cut_by_the_crop_equals_the_crop_of_the_whole():
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([50 + 40 * np.cos(angles), 50 + 40 * np.sin(angles)], 1)
    whole = Placement((100, 100), (150, 150), (0, 0, 150, 150), False, (150, 150))
    part = Placement((100, 100), (150, 150), (30, 60, 64, 64), False, (64, 64))
    expected = coco_mask.decode(whole.run_lengths([circle]))[30:94, 60:124]
    np.testing.assert_array_equal(coco_mask.decode(part.run_lengths([circle])), expected)


def test_placed_pixels():
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 6).expand(3, 2, 6)
    placed = Placement((2, 6), (2, 6), (1, 1, 1, 3), True, (2, 4)).image(image)
    assert placed[0].tolist() == [[9, 8, 7, 0], [0, 0, 0, 0]]


def test_without_removes_pixels():
    mask = coco_mask.encode(np.asfortranarray(np.ones((4, 4), np.uint8)))
    removed = np.zeros((4, 4), np.uint8)
    removed[:, 2:] = 1
    (rest,) = without([mask], removed)
    np.testing.assert_array_equal(coco_mask.decode(rest), 1 - removed)


def test_a_canvas_keeps_the_order_of_a_selection():
    canvas = copy_paste().place(Picture([(0, 0, 5, 5), (10, 0, 5, 5), (20, 0, 5, 5)]))
    chosen = canvas.select(np.array([2, 0]))
    assert isinstance(chosen, Canvas)
    assert chosen.labels.tolist() == [2, 0]
    assert chosen.boxes[:, 0].tolist() == [20, 0]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_sample(seed):
    augment = copy_paste(scale=(0.8, 1.25), flip_probability=0.5)
    first = Picture([(10, 20, 30, 40), (50, 50, 40, 20)], 1)
    samples = []
    for _ in range(2):
        torch.manual_seed(seed)
        samples.append(augment(first, sample_source))
    assert torch.equal(samples[0]["image"], samples[1]["image"])
    assert torch.equal(samples[0]["boxes"], samples[1]["boxes"])
