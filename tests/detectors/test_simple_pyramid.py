import pytest
import torch
from torch.nn import functional as F

from bacl.detectors.simple_pyramid import SimpleFeaturePyramid
from bacl.messages.errors import OptionError

WIDTH, CHANNELS = 12, 8


@pytest.fixture(scope="module")
def pyramid():
    torch.manual_seed(0)
    made = SimpleFeaturePyramid([WIDTH], CHANNELS).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def deconvolved(x, weight, bias):
    """Position by position: a pixel (i, j) fills the 2 × 2 pixels from (2 i, 2 j) on."""
    batch, _, height, width = x.shape
    out = x.new_zeros(batch, weight.shape[1], 2 * height, 2 * width)
    for i in range(height):
        for j in range(width):
            patch = torch.einsum("bc,coyx->boyx", x[:, :, i, j], weight)
            out[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = patch
    return out + bias.view(-1, 1, 1)


def layer_norm(x, weight, bias):
    centred = x - x.mean(1, keepdim=True)
    deviation = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return centred / deviation * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)


def pooled(x):
    """The greatest of each 2 × 2, of what there is of them at the end of an odd side."""
    rows = [x[:, :, i : i + 2].amax(2) for i in range(0, x.shape[2], 2)]
    x = torch.stack(rows, 2)
    return torch.stack([x[..., j : j + 2].amax(3) for j in range(0, x.shape[3], 2)], 3)


def reference(pyramid, x):
    """ViTDet's pyramid, written down from the paper's Sec. A.2 with the module's weights."""
    state = pyramid.state_dict()
    w = lambda level, layer: state[f"levels.{level}.{layer}.weight"]  # noqa: E731
    b = lambda level, layer: state[f"levels.{level}.{layer}.bias"]  # noqa: E731
    four = deconvolved(x, w(0, 0), b(0, 0))
    four = layer_norm(four, w(0, 1), b(0, 1))
    four = four * 0.5 * (1 + torch.erf(four / 2**0.5))
    four = deconvolved(four, w(0, 3), b(0, 3))
    maps = [four, deconvolved(x, w(1, 0), b(1, 0)), x, pooled(x)]
    levels = []
    for level, (each, first) in enumerate(zip(maps, (4, 1, 0, 1), strict=True)):
        each = torch.einsum("bchw,oc->bohw", each, w(level, first)[:, :, 0, 0])
        each = layer_norm(each, w(level, first + 1), b(level, first + 1))
        each = F.conv2d(each, w(level, first + 2), padding=1)
        levels.append(layer_norm(each, w(level, first + 3), b(level, first + 3)))
    return [*levels, levels[-1][:, :, ::2, ::2]]


@pytest.mark.parametrize("sides", [(4, 6), (2, 2), (5, 3), (1, 7)])
def test_levels_are_those_of_the_reference(pyramid, sides):
    x = torch.randn(2, WIDTH, *sides, dtype=torch.float64)
    with torch.no_grad():
        levels, expected = pyramid([x]), reference(pyramid, x)
    assert len(levels) == 5
    for level, other in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-9, atol=1e-9)
    half = [-(-side // 2) for side in sides]
    quarter = [-(-side // 2) for side in half]
    found = [list(level.shape[2:]) for level in levels]
    assert found == [[4 * s for s in sides], [2 * s for s in sides], [*sides], half, quarter]
    assert {level.shape[1] for level in levels} == {CHANNELS}


def test_every_weight_learns(pyramid):
    levels = pyramid([torch.randn(1, WIDTH, 4, 4, dtype=torch.float64)])
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    assert all(p.grad is not None and p.grad.any() for p in pyramid.parameters())


@pytest.mark.parametrize("channels", [[8, 16, 32, 64], [], [3]])
def test_it_is_made_of_one_map(channels):
    with pytest.raises(OptionError, match="one map of at least 4 channels"):
        SimpleFeaturePyramid(channels, CHANNELS)
