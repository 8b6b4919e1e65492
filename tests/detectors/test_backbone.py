import functools

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet18, resnet50

from bacl.detectors.mobilenet import MobileNetV2
from bacl.detectors.resnet import ResNet
from bacl.detectors.timm_backbone import TimmBackbone
from bacl.detectors.weights import WeightsError


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


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto"])
@pytest.mark.parametrize("count", [1, 4])
def test_timm_freezes_the_first_stages(images, name, count):
    pytest.importorskip("timm")
    model = TimmBackbone(name, frozen_stages=count, norm_eval=True, weights=None).train()
    assert [x.requires_grad for x in model(images)] == [index >= count for index in range(4)]
    modules = [module for stage in model.stages() for module in stage]
    assert sum(len(list(module.parameters())) for module in modules) == len(
        list(model.parameters())
    )
    frozen = {module for stage in model.stages()[:count] for module in stage}
    assert all(module.training != (module in frozen) for module in modules)


NARROW_SWIN = {
    "strict_img_size": False, "embed_dim": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 2, 4],
}  # fmt: skip


def swin(norm=True, frozen_stages=0, weights=None, **options):
    pytest.importorskip("timm")
    name = "swin_tiny_patch4_window7_224"
    options = NARROW_SWIN | options
    return TimmBackbone(name, frozen_stages, True, weights, norm, options).eval()


@pytest.mark.parametrize("size", [(96, 160), (288, 224), (32, 32)])
def test_swin_takes_images_of_every_padded_size(size):
    features = swin()(torch.randn(2, 3, *size))
    assert [x.shape for x in features] == [
        (2, 16 * 2**level, size[0] // stride, size[1] // stride)
        for level, stride in enumerate((4, 8, 16, 32))
    ]


def test_swin_sees_the_left_part_of_an_image_alike_however_wide_the_image_is():
    model = swin()
    image = torch.randn(1, 3, 64, 448)
    with torch.no_grad():
        narrow, wide = model(image[..., :224])[0], model(image)[0]
    # Two blocks of windows of 28 pixels, one of them shifted: 42 pixels and more from the cut
    # nothing of the first stage knows about it.
    torch.testing.assert_close(narrow[..., :44], wide[..., :44], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(narrow[..., 50:], wide[..., 50:56], atol=1e-3)


def test_swin_gives_normalised_maps_and_every_parameter_learns():
    model = swin(drop_path_rate=0.0)
    features = model(torch.randn(1, 3, 96, 64))
    for x in features:
        torch.testing.assert_close(x.mean(1), torch.zeros_like(x.mean(1)), rtol=0, atol=1e-5)
        assert x.std(1, correction=0).mean().item() == pytest.approx(1, abs=0.01)
    sum(x.square().mul(torch.rand_like(x)).sum() for x in features).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    plain = swin(norm=False)
    assert len(list(model.parameters())) == len(list(plain.parameters())) + 8


def test_swin_freezes_stem_and_first_stage():
    model = swin(norm=False, frozen_stages=1).train()
    features = model(torch.randn(1, 3, 64, 64))
    assert [x.requires_grad for x in features] == [False, True, True, True]
    assert not model.model["patch_embed"].training
    assert model.model["layers_1"].training


def test_timm_weights_from_a_file(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    classifier = timm.create_model("swin_tiny_patch4_window7_224", **NARROW_SWIN)
    path = tmp_path / "swin.pth"
    torch.save(classifier.state_dict(), path)
    loaded = swin(weights=str(path)).model.state_dict()
    for name, value in loaded.items():
        assert torch.equal(value, classifier.state_dict()[name.replace("layers_", "layers.")])
    with pytest.raises(WeightsError, match="do not exist"):
        swin(weights=str(tmp_path / "none.pth"))


def test_an_option_that_a_timm_model_does_not_take_is_named():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"convnext_atto: timm refuses .*strict_img_size"):
        TimmBackbone("convnext_atto", 0, True, None, options={"strict_img_size": False})
