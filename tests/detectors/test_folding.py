import copy
from itertools import pairwise

import pytest
import torch
from counting import Operators
from torch import nn
from torch.nn import functional as F

from bacl.detectors.folding import FoldedNorms, one_by_one, with_norms
from bacl.detectors.mobilenet import MobileNetV2
from bacl.detectors.resnet import ResNet


def randomise_norms(module):
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            for value in (layer.bias, layer.running_mean):
                nn.init.normal_(value, std=0.1)


def convolutions(count):
    """Convolutions of several sizes with norms behind them, which have fixed statistics."""
    torch.manual_seed(count)
    widths = [3, *range(4, 4 + count)]
    pairs = [
        (nn.Conv2d(a, b, 1 + 2 * (b % 2), padding=b % 2, bias=False), nn.BatchNorm2d(b))
        for a, b in pairwise(widths)
    ]
    modules = nn.ModuleList(nn.Sequential(*pair) for pair in pairs).eval()
    randomise_norms(modules)
    return modules


def run(modules, x, convolve):
    for conv, norm in modules:
        x = convolve(x, conv, norm).relu()
    return x


def folded_alone(x, conv, norm):
    """The formula, one convolution at a time and by autograd."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    bias = norm.bias - norm.running_mean * scale
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def results(modules, convolve):
    """Output and gradients of everything that has one."""
    modules = copy.deepcopy(modules)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = x.to(next(modules.parameters()).dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(True)
    made = FoldedNorms(with_norms(modules)) if convolve is FoldedNorms else convolve
    out = run(modules, x, made)
    out.float().square().sum().backward()
    return [out, x.grad, *(parameter.grad for parameter in modules.parameters())]


def weights_of(modules):
    return [module[0].weight for module in modules]


def affine_of(modules):
    return [parameter for module in modules for parameter in module[1].parameters()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    "frozen", [lambda modules: [], weights_of, affine_of, lambda modules: affine_of(modules[:2])]
)
def test_folded_together_they_are_bit_for_bit_what_they_are_alone(precision, frozen):
    modules = convolutions(4).to(precision)
    for parameter in frozen(modules):
        parameter.requires_grad_(False)
    together, alone = results(modules, FoldedNorms), results(modules, folded_alone)
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


def test_without_what_newer_versions_of_torch_have(monkeypatch):
    modules = convolutions(3)
    newer = results(modules, FoldedNorms)
    monkeypatch.delattr(torch, "_foreach_rsqrt_", raising=False)
    assert all(map(torch.equal, results(modules, FoldedNorms), newer))


def test_under_autocast_too():
    modules = convolutions(4)
    with torch.autocast("cpu", torch.bfloat16):
        together, alone = results(modules, FoldedNorms), results(modules, folded_alone)
    assert together[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in together[1:])
    for ours, theirs in zip(together, alone, strict=True):
        assert torch.equal(ours, theirs)


def test_values_and_gradients_are_those_of_the_norms():
    modules = convolutions(3).double()
    for ours, theirs in zip(
        results(modules, FoldedNorms), results(modules, one_by_one), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)),  # uses the batch
        (nn.Conv2d(3, 4, 1, bias=False), nn.GroupNorm(2, 4)),
        (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4).eval()),
    ],
)
def test_what_is_not_folded_stays_as_it_is(layers):
    x = torch.randn(2, 3, 4, 4)
    expected = copy.deepcopy(layers[1])(layers[0](x))
    assert torch.equal(FoldedNorms(with_norms(layers))(x, *layers), expected)


def test_a_norm_that_takes_the_place_of_another_is_not_taken_for_it():
    (layer,) = convolutions(1)
    convolve, x = FoldedNorms(with_norms([layer])), torch.randn(1, 3, 4, 4)
    assert torch.equal(convolve(x, layer[0], nn.Identity()), layer[0](x))


@pytest.mark.parametrize("autocast", [False, True])
def test_operators_do_not_grow_with_the_convolutions(autocast):
    counts = []
    for count in (2, 7):
        modules, seen = convolutions(count), Operators()
        with seen, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            convolve = FoldedNorms(with_norms(modules))
            parts = [part for pair in convolve._folded.values() for part in pair]
            ones = [torch.ones_like(part) for part in parts]
            torch.autograd.grad(parts, list(modules.parameters()), ones)
        assert seen.launched.pop("sum") == count
        assert seen.launched.pop("ones_like") == 2 * count
        roots = seen.launched.pop("_foreach_rsqrt_", 0) + seen.launched.pop("rsqrt_", 0)
        assert roots == (1 if hasattr(torch, "_foreach_rsqrt_") else count)
        counts.append(seen.launched)
    assert counts[0] == counts[1]
    assert counts[0].total() == 10 + 2 * autocast


def backbones():
    return [ResNet(10, 1, True, None, width=16), MobileNetV2(1, True, None)]


@pytest.mark.parametrize("index", range(2))
def test_every_batch_norm_of_a_backbone_is_folded(index):
    model = backbones()[index].train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = None  # it is not called
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == sum(map(len, model.pairs)) > 10
    model(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize("index", range(2))
def test_other_weights_are_folded_anew(index):
    model, other = backbones()[index].eval(), backbones()[index].eval()
    randomise_norms(other)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        model(x)
        model.load_state_dict(other.state_dict())
        found = [model(x), model.double()(x.double())]
        expected = [other(x), other.double()(x.double())]
    for features, references in zip(found, expected, strict=True):
        assert all(map(torch.equal, features, references))
    assert model.state_dict().keys() == backbones()[index].state_dict().keys()


@pytest.mark.parametrize("index", range(2))
def test_folded_for_good_without_norms(index):
    model = backbones()[index].eval()
    randomise_norms(model)
    alone = copy.deepcopy(model)
    alone.fold_norms()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(map(torch.equal, alone(x), model(x)))
    assert not [module for module in alone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not [name for name in alone.state_dict() if "running" in name]
    assert any("running" in name for name in model.state_dict())


def test_other_norms_are_not_folded_for_good():
    model = ResNet(10, 0, True, None, width=16, norm=lambda width: nn.GroupNorm(4, width))
    before = model.state_dict().keys()
    model.fold_norms()
    assert model.state_dict().keys() == before


@pytest.mark.parametrize("index", range(2))
def test_shapes_without_values(index):
    model = backbones()[index].eval().to("meta")
    features = model(torch.empty(1, 3, 64, 64, device="meta"))
    assert [tuple(x.shape[2:]) for x in features] == [(16, 16), (8, 8), (4, 4), (2, 2)]
