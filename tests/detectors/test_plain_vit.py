import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

timm = pytest.importorskip("timm")

from bacl.detectors.adaptation import Frozen, LayerDecay  # noqa: E402
from bacl.detectors.low_rank import LowRank  # noqa: E402
from bacl.detectors.plain_vit import PlainViT  # noqa: E402
from bacl.detectors.timm_backbone import TimmBackbone  # noqa: E402
from bacl.detectors.timm_models import create_model, licence_line  # noqa: E402
from bacl.detectors.vit_options import completed  # noqa: E402
from bacl.detectors.weights import WeightsError  # noqa: E402

SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2}
FAMILIES = {
    "vit_tiny_patch16_224": SMALL,
    "vit_small_patch16_dinov3": SMALL,
    "vit_small_patch14_reg4_dinov2": SMALL,
    "eva02_tiny_patch14_224": SMALL,
    "vit_base_patch16_siglip_512": SMALL,
    "vit_base_patch16_clip_224": SMALL,
    "deit_tiny_distilled_patch16_224": SMALL,
    "samvit_base_patch16": SMALL,
}


def vit(name="vit_tiny_patch16_224", adaptation=None, weights=None, **options):
    return PlainViT(name, weights, adaptation or LayerDecay(1.0), FAMILIES[name] | options)


@pytest.mark.parametrize("name", FAMILIES)
def test_models_take_pictures_of_every_size_at_stride_16(name):
    model = vit(name).eval()
    for height, width in ((96, 64), (32, 224), (256, 32)):
        with torch.no_grad():
            (features,) = model(torch.randn(2, 3, height, width))
        assert features.shape == (2, *model.channels, height // 16, width // 16)
        assert features.isfinite().all()


def test_the_map_is_timms_last_one_after_its_norm():
    model = vit().eval()
    images = torch.randn(2, 3, 64, 96)
    theirs = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True, **SMALL).eval()
    theirs.load_state_dict(model.model.state_dict(), strict=False)  # which has no classifier
    # 0.5 is mean and deviation of its pretraining: from ImageNet's, back to pixels, and there.
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    pixels = (images * std + mean - 0.5) / 0.5
    with torch.no_grad():
        tokens = theirs.forward_features(pixels)[:, 1:]
        expected = tokens.transpose(1, 2).unflatten(2, (4, 6))
        torch.testing.assert_close(model(images)[0], expected, rtol=1e-4, atol=1e-4)


def test_patches_of_14_are_resampled_to_16_and_positions_stay(tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    torch.manual_seed(1)
    theirs = timm.create_model(name, **SMALL)
    path = tmp_path / "dino.pth"
    torch.save(theirs.state_dict(), path)
    model = vit(name, weights=str(path))
    assert torch.equal(model.model.pos_embed, theirs.pos_embed)  # 37 × 37, as pretrained
    assert torch.equal(model.model.blocks[1].attn.qkv.weight, theirs.blocks[1].attn.qkv.weight)
    # A picture without details, once in patches of 14 and once, enlarged, in patches of 16.
    small = F.interpolate(torch.randn(1, 3, 2, 2), (28, 28), mode="bilinear")
    large = F.interpolate(small, (32, 32), mode="bilinear")
    with torch.no_grad():
        tokens = theirs.patch_embed.proj(small).flatten(2)
        resampled = model.model.patch_embed.proj(large).flatten(2)
    assert (tokens - resampled).norm() < 0.1 * tokens.norm()


def test_what_was_typed_counts_before_what_is_found():
    options, width = completed("vit_small_patch14_dinov2", SMALL | {"img_size": 224})
    assert options["img_size"] == 224
    assert (options["patch_size"], width) == (16, 24)
    with pytest.raises(ValueError, match=r"tied to one size .* vit_small_patch14_reg4_dinov2"):
        vit(dynamic_img_size=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("beit_base_patch16_224", "is tied to one size of pictures .*224"),
        ("resnet10t", "is no plain ViT: detector=faster_rcnn_timm"),
        ("efficientnet_b0", "has stride 32, and a pyramid needs 16"),
    ],
)
def test_models_that_cannot_serve_are_refused_when_built(name, message):
    with pytest.raises(ValueError, match=message):
        PlainViT(name, None, Frozen())


def test_an_fpn_names_the_detector_that_takes_a_plain_vit():
    with pytest.raises(ValueError, match=r"gives strides \[16.*detector=faster_rcnn_vit .*name=vi"):
        TimmBackbone("vit_tiny_patch16_224", 0, True, None, options={"depth": 4, "embed_dim": 24})


def test_options_of_weights_and_those_that_no_model_takes_are_named():
    with pytest.raises(ValueError, match=r"\['pretrained'\] are set by `weights`"):
        vit(pretrained=True)
    with pytest.raises(ValueError, match=r"timm refuses .*no_such_option"):
        vit(no_such_option=1)


def test_building_draws_as_if_nothing_had_been_tried_before():
    torch.manual_seed(3)
    ours = vit().model.state_dict()
    torch.manual_seed(3)
    theirs = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True, **SMALL
    ).state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_frozen_transformer_has_no_graph_and_stays_in_eval_mode():
    model = vit(adaptation=Frozen(), drop_path_rate=0.5).train()
    images = torch.randn(1, 3, 32, 32)
    (features,) = model(images)
    assert not features.requires_grad
    assert not model.model.training
    assert torch.equal(features, model(images)[0])


def test_layers_learn_at_the_rates_of_beit_and_vitdet():
    model = vit(adaptation=LayerDecay(0.5), depth=3)
    groups = model.scaled_parameters()
    # 3 blocks: the last layer is number 4.
    expected = {0: 0.5**4, 1: 0.5**3, 2: 0.5**2, 3: 0.5, 4: 1.0}
    assert {int(each.name.split("_")[1]): each.rate for each in groups} == expected
    names = {parameter: name for name, parameter in model.model.named_parameters()}
    by_name = {names[p]: each for each in groups for p in each.parameters}
    assert by_name.keys() == set(names.values())
    assert sum(len(each.parameters) for each in groups) == len(names)
    for name, rate, decays in (
        ("pos_embed", 0.5**4, False),
        ("cls_token", 0.5**4, False),
        ("patch_embed.proj.weight", 0.5**4, True),
        ("patch_embed.proj.bias", 0.5**4, False),
        ("blocks.0.attn.qkv.weight", 0.5**3, True),
        ("blocks.2.norm1.weight", 0.5, False),
        ("blocks.2.mlp.fc2.weight", 0.5, True),
        ("norm.bias", 1.0, False),
    ):
        assert (by_name[name].rate, by_name[name].decays) == (rate, decays), name


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_low_rank_updates_begin_at_nothing_and_alone_learn(name):
    torch.manual_seed(0)
    plain = vit(name).eval()
    adapted = vit(name, LowRank(3, 6.0))
    for key, value in plain.model.state_dict().items():
        path = key.removesuffix(".weight")
        own = adapted.model.state_dict()
        key = key if key in own else f"{path}.frozen"
        own[key].copy_(value)
    images = torch.randn(1, 3, 64, 32)
    torch.testing.assert_close(adapted.eval()(images)[0], plain(images)[0])
    trained = {k for k, p in adapted.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * 2  # A and B of two layers of two blocks
    assert all(name.endswith((".a", ".b")) for name in trained)
    adapted.train()(images)[0].square().sum().backward()
    assert all(p.grad is not None for k, p in adapted.named_parameters() if k in trained)
    assert adapted.model.blocks[0].attn.proj.b.grad.any()


def test_low_rank_updates_are_added_as_the_formula_says_and_merged_for_good():
    model = vit(adaptation=LowRank(2, 6.0)).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    layer = model.model.blocks[1].attn.qkv
    expected = layer.frozen + 3.0 * layer.b @ layer.a
    torch.testing.assert_close(layer.weight, expected)
    images = torch.randn(1, 3, 32, 64)
    before = model(images)[0]
    merged = copy.deepcopy(model)
    merged.fold_norms()
    torch.testing.assert_close(merged(images)[0], before, rtol=1e-5, atol=1e-5)
    assert merged.state_dict().keys() == vit().state_dict().keys()
    assert torch.equal(model(images)[0], before)  # the copy alone was changed


def test_a_rank_beyond_the_width_is_refused():
    with pytest.raises(ValueError, match="rank=25, but a layer is 24 wide"):
        vit(adaptation=LowRank(25, 1.0))


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    other = timm.create_model("vit_tiny_patch16_224", **SMALL | {"embed_dim": 32})
    torch.save(other.state_dict(), path)
    with pytest.raises(WeightsError, match="do not fit timm's vit_tiny_patch16_224"):
        vit(weights=str(path))


def test_a_licence_that_is_not_free_is_told_where_weights_are_loaded(tmp_path, caplog):
    name = "vit_small_patch16_dinov3"
    torch.manual_seed(1)
    path = tmp_path / "dino.pth"
    torch.save(timm.create_model(name, **SMALL).state_dict(), path)
    with caplog.at_level(logging.INFO, "bacl"):
        create_model(name, None, SMALL)
        assert not caplog.messages
        create_model(name, str(path), SMALL)
    (line,) = caplog.messages
    assert "dinov3-license (https://huggingface.co/timm/vit_small_patch16_dinov3" in line


@pytest.mark.parametrize("licence", ["apache-2.0", "MIT", None])
def test_a_free_licence_is_not_told(licence):
    assert licence_line("any", SimpleNamespace(license=licence)) is None
    assert licence_line("any", None) is None
