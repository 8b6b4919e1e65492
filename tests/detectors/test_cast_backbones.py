"""Backbones whose weights are cast at once give what they give with autocast's own casts."""

from functools import partial

import pytest
import torch
from counting import Operators

from bacl.detectors.adaptation import LayerDecay
from bacl.detectors.cast_weights import LAYERS, CastWeights, cast_once
from bacl.detectors.low_rank import LowRank
from bacl.detectors.mask_head import MaskHead, NormalisedMaskPredictor
from bacl.detectors.mobilenet_v3 import MobileNetV3
from bacl.detectors.norms import FixedNorm
from bacl.detectors.plain_vit import PlainViT
from bacl.detectors.resnet import ResNet
from bacl.detectors.simple_pyramid import SimpleFeaturePyramid
from bacl.detectors.timm_backbone import TimmBackbone

AT_ONCE, ONE_BY_ONE = "_foreach_copy_", "_to_copy"
VIT = partial(
    PlainViT, "vit_tiny_patch16_224", None, options={"embed_dim": 24, "depth": 1, "num_heads": 2}
)
BACKBONES = {
    "norms that train": partial(ResNet, 10, 0, False, None, width=8),
    "half of it frozen": partial(ResNet, 10, 2, False, None, width=8),
    "norms that are folded": partial(ResNet, 10, 1, True, None, width=8),
    "fixed norms that are not folded": partial(MobileNetV3, 2, True, None, norm=FixedNorm),
    "of timm": partial(TimmBackbone, "resnet10t", 0, False, None),
    "a transformer": partial(VIT, LayerDecay(1.0)),
    "low rank": partial(VIT, LowRank(rank=2, alpha=2.0)),
}


@pytest.fixture(params=BACKBONES)
def backbone(request):
    if "timm" in request.param or "transformer" in request.param or "rank" in request.param:
        pytest.importorskip("timm")
    torch.manual_seed(0)
    return BACKBONES[request.param]().train()


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def found(module, call):
    """Maps, gradients of the weights, and what was launched; statistics stay as they were."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    module.zero_grad()
    with Operators() as seen:
        with torch.autocast("cpu", torch.bfloat16):
            maps = call()
        sum(each.float().square().sum() for each in maps).backward()
    module.load_state_dict(state)
    learnt = {name: each.grad for name, each in module.named_parameters() if each.requires_grad}
    return list(maps), learnt, seen.launched


def at_once(backbone, images, cast=None):
    cast = cast or CastWeights()
    return cast.call(backbone, images, but=backbone.folded_layers())


def assert_same(first, second):
    assert all(map(torch.equal, first[0], second[0]))
    assert first[1].keys() == second[1].keys()
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


def test_maps_and_gradients_are_those_of_autocast_to_the_bit(backbone, images):
    alone = found(backbone, lambda: backbone(images))
    assert any(gradient.any() for gradient in alone[1].values())
    together = found(backbone, lambda: at_once(backbone, images))
    assert_same(alone, together)
    layers = [each for each in backbone.modules() if type(each) in LAYERS]
    cast = [w for each in layers if each not in backbone.folded_layers() for w in own(each)]
    learn = sum(weight.requires_grad for weight in cast)
    assert alone[2][ONE_BY_ONE] - together[2][ONE_BY_ONE] == learn + len(cast)  # there and back
    lists = 2 * (learn > 0) + (len(cast) > learn)  # what is frozen is cast for good
    assert together[2][AT_ONCE] - alone[2][AT_ONCE] == lists


def own(layer):
    return list(layer.parameters(recurse=False))


def test_of_frozen_layers_nothing_is_cast_in_a_second_step(images):
    torch.manual_seed(0)
    backbone, cast, counts = BACKBONES["low rank"]().train(), CastWeights(), []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16), Operators() as seen:
            at_once(backbone, images, cast)
        counts.append(seen.launched[AT_ONCE])
    assert counts == [2, 1]  # for good, and what learns


def test_within_a_step_weights_are_cast_once_for_all_pictures(images):
    torch.manual_seed(0)
    backbone, cast = BACKBONES["norms that train"]().eval(), CastWeights()
    backbone.fold_norms()
    backbone.requires_grad_(True)

    def every(call):
        with cast_once():
            return [level for image in images.split(1) for level in call(image)]

    alone = found(backbone, lambda: every(backbone))
    together = found(backbone, lambda: every(lambda image: cast.call(backbone, image)))
    assert_same(alone, together)
    assert together[2][AT_ONCE] == 2
    backbone.conv1.weight.data.mul_(2)
    later = found(backbone, lambda: at_once(backbone, images))
    assert not torch.equal(later[0][0][:1], together[0][0])  # kept for one step only


def test_deconvolutions_are_cast_with_the_other_layers():
    torch.manual_seed(0)
    pyramid, features = SimpleFeaturePyramid([16], 8), [torch.randn(1, 16, 4, 4).bfloat16()]
    alone = found(pyramid, lambda: pyramid(features))
    together = found(pyramid, lambda: CastWeights().call(pyramid, features))
    assert_same(alone, together)
    weights = sum(len(own(each)) for each in pyramid.modules() if type(each) in LAYERS)
    assert alone[2][ONE_BY_ONE] - together[2][ONE_BY_ONE] == 2 * weights


def test_a_mask_heads_layers_are_cast_at_once():
    torch.manual_seed(0)
    head = MaskHead(8, 3, 2, 8, partial(NormalisedMaskPredictor, temperature=20.0))
    pooled, labels = torch.randn(4, 8, 7, 7).bfloat16(), torch.tensor([0, 2, 1, 0])
    alone = found(head, lambda: [head(pooled, labels)])
    together = found(head, lambda: [CastWeights().call(head, pooled, labels)])
    assert_same(alone, together)
    assert together[2][AT_ONCE] == 2
    assert alone[2][ONE_BY_ONE] - together[2][ONE_BY_ONE] == 2 * 2 * 3  # weight, bias; there, back
