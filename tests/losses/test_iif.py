"""What IIF does beyond the common contract."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bacl.losses import IIF
from tests.losses.counts import COUNTS


@pytest.mark.parametrize("images", [500, 25, 1])
def test_normit_is_the_normal_quantile(images):
    counts = SimpleNamespace(image_counts=[images], num_annotated=1000)
    (factor, _) = IIF(1, "normit", counts).factors
    beyond = 0.5 * torch.erfc(factor / 2**0.5)  # share of the normal distribution above it
    assert beyond.item() == pytest.approx(images / 1000, rel=1e-6)


@pytest.mark.parametrize("factor", ["raw", "smooth", "relative", "normit", "gombit", "base2"])
def test_factors_of_classes_in_no_or_all_images_are_finite(factor):
    counts = SimpleNamespace(image_counts=[0, 1, 50, 100], num_annotated=100)
    factors = IIF(4, factor, counts).factors[:4]
    assert factors.isfinite().all()
    assert (factors.diff() <= 0).all()
    assert (factors.diff()[1:] < 0).all()


def test_all_weights_start_alike():
    predictor = nn.Linear(3, 5)
    IIF(4, "raw", COUNTS).initialise(predictor)
    assert (predictor.weight == 0.001).all()
    assert (predictor.bias == 0).all()
