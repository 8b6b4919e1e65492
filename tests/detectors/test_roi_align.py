import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from bacl.detectors.roi_align import roi_align

STRIDES = (4, 8, 16, 32)


def reference(features: Tensor, rois: Tensor, side: int, scale: float, ratio: int) -> Tensor:
    return torchvision.ops.roi_align(features, rois, side, scale, ratio, aligned=True)


def random_rois(number: int, images: int, height: int, width: int) -> Tensor:
    """RoIs of every size and shape; a third reaches out of the image."""
    centre = torch.rand(number, 2) * torch.tensor([width, height])
    half = torch.rand(number, 2) ** 3 * torch.tensor([width, height]) / 2
    corners = torch.cat((centre - half, centre + half), dim=1)
    return torch.cat((torch.randint(images, (number, 1)).float(), corners), dim=1)


def assert_same_with_gradient(
    features: Tensor, rois: Tensor, side: int, scale: float, ratio: int = 0
) -> None:
    own, other = (features.detach().clone().requires_grad_() for _ in range(2))
    pooled, expected = (
        roi_align(own, rois, side, scale, ratio),
        reference(other, rois, side, scale, ratio),
    )
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(expected)
    (pooled * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(own.grad, other.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [1, 7, 14])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_equals_torchvision(side: int, ratio: int, scale: float) -> None:
    features = torch.randn(3, 5, 24, 31)
    rois = random_rois(40, 3, int(24 / scale), int(31 / scale))
    assert_same_with_gradient(features, rois, side, scale, ratio)


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param([4, 4, 4, 4], id="empty"),
        pytest.param([8, 4, 2, 12], id="negative-width"),
        pytest.param([8, 12, 2, 4], id="negative-both"),
        pytest.param([-300, -300, -200, -250], id="outside"),
        pytest.param([-60, -60, 200, 200], id="around-the-image"),
        pytest.param([0, 0, 64, 48], id="whole-image"),
        pytest.param([-4, -4, 4, 4], id="first-pixel-outside"),
        pytest.param([60, 44, 72, 56], id="last-pixel-outside"),
        pytest.param([6, 6, 6.01, 40], id="thin"),
        pytest.param([2, 2, 30, 30], id="samples-on-pixels"),
    ],
)
def test_border_and_degenerate_rois(corners: list[float]) -> None:
    rois = torch.tensor([[0.0, *corners], [1.0, *corners]])
    assert_same_with_gradient(torch.randn(2, 3, 12, 16), rois, 7, 0.25)


def test_ramp_gives_bin_centres() -> None:
    """Features equal to x: a bin's mean is its centre, in feature pixels, minus half a pixel.

    RoI x from 8 to 24 at stride 4 is 2 to 6: four bins with centres 2.5 to 5.5, minus 0.5.
    """
    features = torch.arange(10.0).expand(1, 1, 10, 10)
    pooled = roi_align(features, torch.tensor([[0.0, 8, 8, 24, 24]]), 4, 0.25)
    expected = torch.tensor([2.0, 3, 4, 5]).expand(1, 1, 4, 4)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-6)


def test_gradient_of_a_sum_counts_samples() -> None:
    """RoIs inside the image spread a unit per bin: the gradient's total is R * s * s * Ch."""
    features = torch.randn(2, 3, 20, 20, requires_grad=True)
    rois = torch.tensor([[0.0, 10, 12, 50, 60], [1, 5, 5, 30, 70], [1, 20, 20, 21, 21]])
    roi_align(features, rois, 7, 0.25).sum().backward()
    assert features.grad is not None
    torch.testing.assert_close(features.grad.sum(), torch.tensor(3.0 * 49 * 3))


def test_numerical_gradient() -> None:
    features = torch.randn(2, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    rois = random_rois(5, 2, 12, 10).double()
    assert torch.autograd.gradcheck(lambda values: roi_align(values, rois, 3, 0.5), features)


def test_memory_format_does_not_matter() -> None:
    features, rois = torch.randn(2, 8, 12, 16), random_rois(20, 2, 48, 64)
    other = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        roi_align(other, rois, 7, 0.25), roi_align(features, rois, 7, 0.25), rtol=0, atol=0
    )


def test_order_of_rois_does_not_matter() -> None:
    features, rois = torch.randn(2, 8, 12, 16), random_rois(20, 2, 48, 64)
    order = torch.randperm(20)
    pooled = roi_align(features, rois, 7, 0.25)
    torch.testing.assert_close(roi_align(features, rois[order], 7, 0.25), pooled[order])


def test_no_rois() -> None:
    features = torch.randn(1, 3, 8, 8, requires_grad=True)
    pooled = roi_align(features, torch.zeros(0, 5), 7, 0.25)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None
    assert features.grad.count_nonzero() == 0


def test_low_precision_features() -> None:
    features, rois = torch.randn(2, 4, 12, 16).bfloat16(), random_rois(20, 2, 48, 64)
    pooled = roi_align(features, rois, 7, 0.25)
    assert pooled.dtype == torch.bfloat16
    expected = reference(features.float(), rois, 7, 0.25, 0).bfloat16()
    torch.testing.assert_close(pooled, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    features, rois = torch.randn(2, 8, 12, 16), random_rois(20, 2, 48, 64)
    pooled = roi_align(features.cuda(), rois.cuda(), 7, 0.25)
    torch.testing.assert_close(pooled.cpu(), roi_align(features, rois, 7, 0.25))


def test_diverged_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="not finite"):
        roi_align(torch.randn(1, 3, 8, 8), torch.tensor([[0, 1, 2, torch.nan, 4]]), 7, 0.25)


def test_recorded_values_and_gradients(shared: Path) -> None:
    """Published RoIAlign on four levels: 7 x 7 with gradients, 14 x 14 for the first RoIs."""
    random_state = runpy.run_path(str(shared / "published" / "recipe.py"))["random_state"]
    recorded = np.load(shared / "published" / "e_roialign.npz")
    rois, levels = (torch.from_numpy(recorded[key]) for key in ("rois", "levels"))
    shape = recorded["bbox7"].shape
    weights = random_state("roialign_gradout").standard_normal(shape).astype(np.float32)
    for level, stride in enumerate(STRIDES):
        draw = random_state(f"roialign_feat_{level}")
        values = draw.standard_normal((2, 8, 64 >> level, 80 >> level)).astype(np.float32)
        features = torch.from_numpy(values).requires_grad_()
        mine = levels == level
        pooled = roi_align(features, rois[mine], 7, 1 / stride)
        expected = torch.from_numpy(recorded["bbox7"])[mine]
        torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-5)
        (pooled * torch.from_numpy(weights)[mine]).sum().backward()
        gradient = torch.from_numpy(recorded[f"grad_feat_{level}"])
        assert features.grad is not None
        torch.testing.assert_close(
            features.grad[:, : gradient.shape[1]], gradient, rtol=1e-5, atol=1e-5
        )
        mask = mine[: len(recorded["mask14"])]
        torch.testing.assert_close(
            roi_align(features, rois[: len(mask)][mask], 14, 1 / stride),
            torch.from_numpy(recorded["mask14"])[mask],
            rtol=1e-5,
            atol=1e-5,
        )
