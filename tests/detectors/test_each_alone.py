import pytest
import torch
from torch.nn import functional as F

from bacl.detectors.each_alone import each_alone

SIZES = [(64, 96), (32, 64), (64, 96), (96, 32)]


def compute(images):
    """Two levels, of which each value depends on the whole picture and on the batch's size."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images[:, :1, ::4, ::4] + mean, F.max_pool2d(images, 32, ceil_mode=True) * mean)


@pytest.fixture
def batch():
    images = torch.zeros(4, 3, 96, 96)
    for image, (height, width) in zip(images, SIZES, strict=True):
        image[:, :height, :width] = torch.randn(3, height, width)
    return images


@pytest.mark.parametrize("together", [False, True])
def test_every_picture_has_its_own_maps_in_order_and_nothing_beside_them(batch, together):
    maps = each_alone(compute, batch, SIZES, together)
    assert [tuple(level.shape) for level in maps] == [(4, 1, 24, 24), (4, 3, 3, 3)]
    for image, (height, width) in enumerate(SIZES):
        alone = compute(batch[image : image + 1, :, :height, :width])
        for level, own in zip(maps, alone, strict=True):
            inside = level[image, :, : own.shape[2], : own.shape[3]]
            torch.testing.assert_close(inside, own[0])
            assert level[image].count_nonzero() == own.count_nonzero()


def test_pictures_of_one_size_are_computed_together_only_where_that_is_asked_for(batch):
    seen = []

    def counting(images):
        seen.append(tuple(images.shape))
        return compute(images)

    each_alone(counting, batch, SIZES, True)
    assert seen == [(2, 3, 64, 96), (1, 3, 32, 64), (1, 3, 96, 32)]
    seen.clear()
    each_alone(counting, batch, SIZES, False)
    assert seen == [(1, 3, *size) for size in SIZES]


def test_gradients_reach_every_picture_and_none_its_padding(batch):
    batch.requires_grad_()
    maps = each_alone(compute, batch, SIZES, True)
    sum(level.square().sum() for level in maps).backward()
    for gradient, (height, width) in zip(batch.grad, SIZES, strict=True):
        assert gradient[:, :height, :width].any()
        assert not gradient[:, height:].any()
        assert not gradient[:, :, width:].any()
