"""Where pictures and boxes land, told without pixels, is where the transforms put them."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.frames import Framing, frames_of
from bacl.data.augmentation.transforms import ResizeShortSide

SIZES = np.array([[120, 200], [333, 100], [64, 64], [50, 900]])
BOX = [10.0, 12.0, 30.0, 25.0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_resize_as_it_is_done(wrapped):
    resize = ResizeShortSide([96], 160)
    transform = v2.Compose([resize, v2.RandomHorizontalFlip(0.0)]) if wrapped else resize
    frames = frames_of(transform, SIZES)
    moved = frames.moved(np.array([BOX] * 4), np.arange(4))
    for place, (height, width) in enumerate(SIZES.tolist()):
        x, y, wide, high = BOX
        corners = torch.tensor([[x, y, x + wide, y + high]])
        sample = {
            "image": tv_tensors.Image(torch.zeros(3, height, width, dtype=torch.uint8)),
            "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width)),
        }
        done = transform(sample)
        assert done["image"].shape[-2:] == tuple(frames.size[place][::-1].tolist())
        np.testing.assert_allclose(done["boxes"][0].numpy(), moved[place], rtol=1e-5)


def test_each_picture_has_a_draw_of_its_own():
    frames = frames_of(ResizeShortSide([64, 128], 4000), np.full((100, 2), 100))
    assert set(frames.size.ravel().tolist()) == {64, 128}
    again = frames_of(ResizeShortSide([64, 128], 4000), np.full((100, 2), 100))
    np.testing.assert_array_equal(frames.size, again.size)


def copy_paste(low, high):
    return CopyPaste(160, [low, high], 0.5, 3, 10, 300)


def test_a_placement_on_the_canvas_as_it_is_drawn():
    transform = copy_paste(1.25, 1.25)
    frames = frames_of(transform, SIZES)
    for place, size in enumerate(SIZES.tolist()):
        placement = transform.draw_placement(tuple(size))
        assert placement.crop[2:] == tuple(frames.size[place][::-1].tolist())
        scale = np.array(placement.new) / size
        np.testing.assert_allclose(frames.scale[place], scale[::-1])
        room = np.array(placement.new) - placement.crop[2:]
        assert (frames.offset[place] >= 0).all()
        assert (frames.offset[place] <= room[::-1]).all()


def test_without_room_nothing_is_cut():
    frames = frames_of(copy_paste(0.5, 1.0), SIZES)
    assert (frames.offset == 0).all()
    assert (frames.size <= 160).all()


def test_a_transform_that_does_not_tell_leaves_pictures_as_they_are():
    frames = frames_of(v2.Identity(), SIZES)
    np.testing.assert_array_equal(frames.size, SIZES[:, ::-1])
    assert not isinstance(v2.Identity(), Framing)
