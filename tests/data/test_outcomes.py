import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.outcomes import outcomes
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.messages.errors import OptionError

SIZES = np.array([[60, 80], [100, 50]])


def test_every_short_side_and_mirror_image_is_an_outcome():
    resize = ResizeShortSide([30, 40], 70)
    found = outcomes(v2.Compose([resize, v2.RandomHorizontalFlip(0.5)]), SIZES)
    # 60 × 80: a short side of 40 would make 53 × 70 of it. 100 × 50: 60 × 30, and 70 × 35.
    expected = [[[30, 40], [60, 30]], [[40, 53], [70, 35]]]
    assert [each.tolist() for each in found] == [expected[0], expected[0], expected[1], expected[1]]


@pytest.mark.parametrize("side", [30, 31, 47, 640])
def test_outcomes_are_the_sizes_that_pictures_get(side):
    resize = ResizeShortSide([side], 700)
    (found,) = outcomes(resize, SIZES)
    for size, expected in zip(SIZES.tolist(), found.tolist(), strict=True):
        image = resize(tv_tensors.Image(torch.zeros(3, *size, dtype=torch.uint8)))
        assert list(image.shape[1:]) == expected


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_mirror_that_is_no_draw_has_one_outcome(p):
    assert len(outcomes(v2.RandomVerticalFlip(p), SIZES)) == 1
    assert outcomes(v2.Identity(), SIZES)[0] is SIZES


@pytest.mark.parametrize(
    "transform", [v2.ColorJitter(0.5), v2.ScaleJitter((32, 32)), CopyPaste.__new__(CopyPaste)]
)
def test_what_draws_anew_is_named(transform):
    with pytest.raises(OptionError, match=f"{type(transform).__name__} makes of a picture what it"):
        outcomes(v2.Compose([v2.Identity(), transform]), SIZES)
