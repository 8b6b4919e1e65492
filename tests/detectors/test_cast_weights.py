import copy
import pickle

import pytest
import torch
from counting import Operators
from torch import nn

from bacl.detectors.cast_weights import CastWeights
from bacl.detectors.fpn import FeaturePyramid

CASTS = "_to_copy"
AT_ONCE = "_foreach_copy_"


@pytest.fixture
def pyramid():
    torch.manual_seed(0)
    return FeaturePyramid([8, 16, 24], 8)


@pytest.fixture
def maps():
    made = torch.Generator().manual_seed(0)
    sizes = ((8, 16), (16, 8), (24, 4))
    return [torch.randn(2, width, n, n, generator=made).bfloat16() for width, n in sizes]


def gradients(pyramid, call) -> list[torch.Tensor]:
    """Of the weights, with those of autocast's own casts."""
    pyramid.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        levels = call()
    sum(level.float().square().sum() for level in levels).backward()
    return [*levels, *(each.grad for each in pyramid.parameters())]


def test_levels_and_gradients_are_those_of_autocast_to_the_bit(pyramid, maps):
    alone = gradients(pyramid, lambda: pyramid(maps))
    at_once = gradients(pyramid, lambda: CastWeights().call(pyramid, maps))
    assert at_once[0].dtype == torch.bfloat16
    assert {each.dtype for each in at_once[len(maps) + 1 :]} == {torch.float32}
    assert all(map(torch.equal, alone, at_once))


def test_one_operator_casts_and_one_casts_back(pyramid, maps):
    with Operators() as seen:
        gradients(pyramid, lambda: CastWeights().call(pyramid, maps))
    assert seen.launched[AT_ONCE] == 2
    assert seen.launched[CASTS] == 2 * (len(maps) + 1)  # of the test's own loss


def test_frozen_weights_are_cast_once_and_anew_when_written(pyramid, maps):
    pyramid.requires_grad_(False)
    cast, counts = CastWeights(), []
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16), Operators() as seen:
            cast.call(pyramid, maps)
        counts.append((seen.launched[AT_ONCE], seen.launched[CASTS]))
    assert counts == [(1, 0), (0, 0), (0, 0)]
    with torch.no_grad():
        pyramid.output[0].weight.mul_(2)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = cast.call(pyramid, maps), pyramid(maps)
    assert all(map(torch.equal, found, expected))


def test_what_learns_follows_a_fused_step(pyramid, maps):
    cast, optimiser = CastWeights(), torch.optim.SGD(pyramid.parameters(), 0.1, fused=True)
    before = gradients(pyramid, lambda: cast.call(pyramid, maps))
    optimiser.step()  # which no version counter tells
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        after, expected = cast.call(pyramid, maps), pyramid(maps)
    assert not torch.equal(before[0], after[0])
    assert all(map(torch.equal, after, expected))


def test_without_autocast_nothing_is_done(pyramid, maps):
    assert CastWeights().of(pyramid) == {}
    precise = [each.float() for each in maps]
    assert all(map(torch.equal, CastWeights().call(pyramid, precise), pyramid(precise)))


def test_weights_without_a_gradient_get_none():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    cast = CastWeights()
    with torch.autocast("cpu", torch.bfloat16):
        weights = cast.of(layers)
        torch.nn.functional.linear(torch.ones(1, 2), weights["1.weight"]).sum().backward()
    assert [name for name, each in layers.named_parameters() if each.grad is not None] == [
        "1.weight"
    ]


def test_layers_derived_of_others_and_float64_keep_their_weights():
    class Own(nn.Linear):
        pass

    layers = nn.Sequential(Own(2, 2), nn.Linear(2, 2).double(), nn.LayerNorm(2))
    with torch.autocast("cpu", torch.bfloat16):
        assert CastWeights().of(layers) == {}


def gradients_of(module, call):
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        found = call()
    found.float().square().sum().backward()
    return [found, *(each.grad for each in module.parameters())]


def test_gradients_of_a_shared_weight_are_summed_as_by_autocast():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
    layers[2].weight, rows = layers[0].weight, torch.randn(64, 16)
    alone = gradients_of(layers, lambda: layers(rows))
    at_once = gradients_of(layers, lambda: CastWeights().call(layers, rows))
    assert all(map(torch.equal, alone, at_once))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_a_weight_that_is_computed_of_others_is_computed_in_float32():
    torch.manual_seed(0)
    layers, rows = nn.Sequential(nn.utils.weight_norm(nn.Linear(16, 16))), torch.randn(64, 16)
    alone = gradients_of(layers, lambda: layers(rows))
    at_once = gradients_of(layers, lambda: CastWeights().call(layers, rows))
    assert all(map(torch.equal, alone, at_once))


def test_weights_of_inference_mode_which_no_version_counts_are_cast_anew():
    with torch.inference_mode():
        layer = nn.Linear(4, 2).requires_grad_(False)
    cast, rows = CastWeights(), torch.ones(3, 4)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            assert torch.equal(cast.call(layer, rows), layer(rows))
            layer.weight.mul_(2)


def test_copies_and_other_processes_keep_none(pyramid, maps):
    cast = CastWeights()
    pyramid.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        cast.call(pyramid, maps)
        for other in (copy.deepcopy(cast), pickle.loads(pickle.dumps(cast))):
            with Operators() as seen:
                other.call(pyramid, maps)
            assert seen.launched[AT_ONCE] == 1
