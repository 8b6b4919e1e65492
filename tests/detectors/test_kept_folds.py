import copy
import pickle

import pytest
import torch
from counting import Operators
from torch import nn

from bacl.detectors.mobilenet import MobileNetV2
from bacl.detectors.resnet import ResNet

FOLDING = "_foreach_sub"  # one in each folding


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return ResNet(10, frozen_stages=0, norm_eval=True, weights=None, width=8).train()


@pytest.fixture
def images():
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def foldings(backbone, images) -> int:
    with Operators() as seen:
        backbone(images)
    return seen.launched[FOLDING]


def unfolded(backbone, images):
    """What a fresh copy, which has kept nothing, makes of the images."""
    return copy.deepcopy(backbone)(images)


def assert_equal(maps, others):
    assert all(torch.equal(a, b) for a, b in zip(maps, others, strict=True))


def test_what_does_not_learn_is_folded_once(backbone, images):
    backbone.requires_grad_(False)
    assert [foldings(backbone, images) for _ in range(3)] == [4, 0, 0]


def test_what_learns_is_folded_in_each_step_and_the_frozen_stages_once(images):
    backbone = ResNet(10, frozen_stages=2, norm_eval=True, weights=None, width=8).train()
    assert [foldings(backbone, images) for _ in range(2)] == [4, 2]


@torch.no_grad()
def test_what_learns_is_folded_anew_after_a_fused_step(backbone, images):
    optimiser = torch.optim.SGD(backbone.parameters(), 0.01, fused=True)
    before = backbone(images)
    for parameter in backbone.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()  # which no version counter tells
    after = backbone(images)
    assert not torch.equal(before[-1], after[-1])
    assert_equal(after, unfolded(backbone, images))


def halve(backbone):
    with torch.no_grad():
        backbone.conv1.weight.mul_(0.5)


def move_a_mean(backbone):
    backbone.layer2[0].bn1.running_mean.add_(1)


def load(backbone):
    state = {key: value + 1 for key, value in backbone.state_dict().items()}
    backbone.load_state_dict(state)


def assign(backbone):
    state = {key: value + 1 for key, value in backbone.state_dict().items()}
    backbone.load_state_dict(state, assign=True)


def step(backbone):
    backbone.requires_grad_(True)
    for parameter in backbone.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(backbone.parameters(), 0.01).step()
    backbone.requires_grad_(False)


def exchange_a_norm(backbone):
    backbone.layer3[0].bn2 = nn.BatchNorm2d(32).eval().requires_grad_(False)
    nn.init.constant_(backbone.layer3[0].bn2.running_var, 4)


def round_off(backbone):
    """As a model goes to another device and back: the parameters' memory is exchanged."""
    backbone.to(torch.bfloat16).to(torch.float32)


@pytest.mark.parametrize(
    "write", [halve, move_a_mean, load, assign, step, round_off, exchange_a_norm]
)
def test_what_was_written_is_folded_anew(backbone, images, write):
    backbone.requires_grad_(False)
    before = backbone(images)
    write(backbone)
    after = backbone(images)
    assert not torch.equal(before[-1], after[-1])
    assert_equal(after, unfolded(backbone, images))


def test_under_autocast_another_precision_is_kept(backbone, images):
    backbone.requires_grad_(False)
    full = backbone(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert_equal(backbone(images), unfolded(backbone, images))
    assert_equal(backbone(images), full)


def test_norms_that_follow_the_images_again_are_not_folded(images):
    backbone = MobileNetV2(frozen_stages=0, norm_eval=False, weights=None).requires_grad_(False)
    backbone.eval()(images)
    with Operators() as seen:
        backbone.train()(images)
    assert seen.launched["native_batch_norm"] or seen.launched["_native_batch_norm_legit"]


def test_kept_in_inference_mode_it_serves_a_training_step(backbone, images):
    backbone.requires_grad_(False)
    with torch.inference_mode():
        backbone(images)
    for parameter in backbone.layer4.parameters():
        parameter.requires_grad_(True)
    x = images.clone().requires_grad_(True)
    sum(out.sum() for out in backbone(x)).backward()
    assert x.grad is not None


def test_a_model_made_in_inference_mode_keeps_nothing(images):
    with torch.inference_mode():
        backbone = ResNet(10, frozen_stages=0, norm_eval=True, weights=None, width=8).eval()
        assert [foldings(backbone, images) for _ in range(2)] == [4, 4]


def test_copies_keep_nothing(backbone, images):
    backbone.requires_grad_(False)
    maps = backbone(images)
    for other in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert foldings(other, images) == 4
        assert_equal(other(images), maps)
    assert set(backbone.state_dict()) == set(copy.deepcopy(backbone).state_dict())
