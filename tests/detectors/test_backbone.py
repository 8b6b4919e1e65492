import functools

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet18, resnet50

from bacl.detectors.backbone import conv_norm
from bacl.detectors.mobilenet import MobileNetV2
from bacl.detectors.resnet import ResNet
from bacl.detectors.timm_backbone import TimmBackbone


def randomise_norms(module):
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            for value in (layer.bias, layer.running_mean):
                nn.init.normal_(value, std=0.1)


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def torchvision_features(model, x):
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    features = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        features.append(x)
    return features


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("depth", "model"), [(18, resnet18), (50, resnet50)])
def test_resnet_equals_torchvision(images, depth, model, training):
    theirs = model(weights=None).train(training)
    randomise_norms(theirs)
    ours = ResNet(depth, frozen_stages=0, norm_eval=False, weights=None).train(training)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    theirs, ours, images = theirs.double(), ours.double(), images.double()
    with torch.no_grad():
        expected, features = torchvision_features(theirs, images), ours(images)
    assert ours.channels == tuple(x.shape[1] for x in features)
    for x, y in zip(features, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(ours.layer4[0].bn1.running_mean, theirs.layer4[0].bn1.running_mean)


def test_folded_norm_has_the_gradients_of_the_plain_one():
    conv, norm = nn.Conv2d(3, 4, 3, bias=False).double(), nn.BatchNorm2d(4).double().eval()
    randomise_norms(norm)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, conv.weight, norm.weight, norm.bias]
    results = []
    for out in (conv_norm(x, conv, norm), norm(conv(x))):
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for folded, plain in zip(*results, strict=True):
        torch.testing.assert_close(folded, plain)


@pytest.mark.parametrize("backbone", [functools.partial(ResNet, 10), MobileNetV2])
def test_frozen_stages_have_no_graph_and_keep_their_statistics(images, backbone):
    model = backbone(frozen_stages=1, norm_eval=False, weights=None).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    features = model(images)
    assert [x.requires_grad for x in features] == [False, True, True, True]
    for index, stage in enumerate(model.stages()):
        for module in stage:
            assert all(p.requires_grad == (index > 0) for p in module.parameters())
            assert module.training == (index > 0)
    changed = {
        name for name, value in model.named_buffers() if not torch.equal(value, before[name])
    }
    frozen = [id(value) for module in model.stages()[0] for value in module.buffers()]
    buffers = dict(model.named_buffers())
    assert changed == {name for name, value in buffers.items() if id(value) not in frozen}


def test_norm_eval_keeps_statistics_but_trains_weights(images):
    model = ResNet(10, frozen_stages=0, norm_eval=True, weights=None).train()
    before = model.layer4[0].bn1.running_mean.clone()
    model(images)[-1].sum().backward()
    assert model.training
    assert torch.equal(model.layer4[0].bn1.running_mean, before)
    assert model.layer4[0].bn1.weight.grad.any()


def test_trained_norm_uses_the_batch(images):
    model = ResNet(10, frozen_stages=0, norm_eval=False, weights=None).train()
    before = model.layer4[0].bn1.running_mean.clone()
    model(images)
    assert not torch.equal(model.layer4[0].bn1.running_mean, before)


def test_group_norm_makes_images_independent(images):
    norm = functools.partial(nn.GroupNorm, 4)
    model = ResNet(10, 0, False, None, width=16, norm=norm)
    assert model.channels == (16, 32, 64, 128)
    with torch.no_grad():
        torch.testing.assert_close(
            model(images)[-1][:1], model(images[:1])[-1], rtol=1e-4, atol=1e-5
        )


def test_mobilenet_equals_torchvision(images):
    theirs = mobilenet_v2(weights=None).eval()
    randomise_norms(theirs)
    ours = MobileNetV2(frozen_stages=0, norm_eval=True, weights=None).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    theirs, ours, images = theirs.double(), ours.double(), images.double()
    with torch.no_grad():
        features = ours(images)
        for x, end, stride in zip(features, (4, 7, 14, 19), (4, 8, 16, 32), strict=True):
            torch.testing.assert_close(x, theirs.features[:end](images), rtol=1e-8, atol=1e-8)
            assert x.shape[2:] == (64 // stride, 96 // stride)
    assert ours.channels == tuple(x.shape[1] for x in features)


def test_imagenet_weights_from_a_file(shared, images):
    path = shared / "data" / "weights" / "mobilenet_v2_imagenet.pth"
    model = MobileNetV2(frozen_stages=1, norm_eval=True, weights=str(path))
    state = torch.load(path, weights_only=True)
    assert torch.equal(model.features[18][0].weight, state["features.18.0.weight"])


def test_wrong_depth_and_wrong_stage():
    with pytest.raises(ValueError, match="must be one of"):
        ResNet(20, 0, True, None)
    with pytest.raises(ValueError, match=r"\[0, 4\], got 5"):
        ResNet(10, 5, True, None)


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto"])
def test_timm(images, name):
    pytest.importorskip("timm")
    model = TimmBackbone(name, frozen_stages=0, norm_eval=True, weights=None)
    features = model(images)
    assert [x.shape[3] for x in features] == [24, 12, 6, 3]
    assert model.channels == tuple(x.shape[1] for x in features)
    frozen = TimmBackbone(name, frozen_stages=1, norm_eval=True, weights=None).train()
    assert not any(x.requires_grad for x in frozen(images))
    assert not frozen.model.training
