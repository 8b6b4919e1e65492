"""What the features of a picture depend on, where each is computed by itself."""

import pytest
import torch
from counting import Operators

from bacl.data.batch import padded_sides

VIT = (
    "detector.backbone.name=vit_tiny_patch16_224",
    "+detector.backbone.options.embed_dim=24",
    "+detector.backbone.options.depth=2",
    "+detector.backbone.options.num_heads=2",
    "detector.fpn.channels=16",
    "detector.rpn.channels=16",
    "detector.feature_dim=32",
)
SMALL = ("small", "detector.each_alone=true")
SIZE, LARGER = (75, 90), (120, 150)


@pytest.fixture(scope="module")
def vit(build):
    pytest.importorskip("timm")
    torch.manual_seed(0)
    return build("faster_rcnn_vit", *VIT).eval()


@pytest.fixture(scope="module")
def picture():
    return torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0))


def batch(*pictures):
    sides = [padded_sides(*picture.shape[1:]) for picture in pictures]
    images = torch.zeros(len(pictures), 3, *map(max, zip(*sides, strict=True)))
    for image, picture in zip(images, pictures, strict=True):
        image[:, : picture.shape[1], : picture.shape[2]] = picture
    return images, sides


def pyramid_of(detector, *pictures):
    with torch.no_grad():
        return detector.pyramid(*batch(*pictures))


@pytest.mark.parametrize("which", ["vit", "small"])
def test_a_picture_gets_the_same_pyramid_to_the_bit_in_every_batch(request, build, picture, which):
    detector = request.getfixturevalue(which) if which == "vit" else build(*SMALL).eval()
    other = torch.randn(3, *LARGER)
    own = pyramid_of(detector, picture)
    together = pyramid_of(detector, picture, other)
    swapped = pyramid_of(detector, other, picture)
    for level, wide, late in zip(own, together, swapped, strict=True):
        height, width = level.shape[2:]
        assert torch.equal(wide[0, :, :height, :width], level[0])
        assert torch.equal(late[1], wide[0])
        assert not wide[0, :, height:].any()
        assert not wide[0, :, :, width:].any()


def test_under_autocast_weights_are_cast_once_for_all_pictures(build, picture):
    detector, casts = build(*SMALL).train(), []
    for pictures in ([picture], [picture, torch.randn(3, *LARGER), picture]):
        with torch.autocast("cpu", torch.bfloat16), Operators() as seen:
            detector.pyramid(*batch(*pictures))
        casts.append(seen.launched["_foreach_copy_"])
    assert casts[0] == casts[1] > 0


def test_without_its_size_a_picture_is_taken_as_wide_as_the_batch(vit, picture):
    images, sides = batch(picture, torch.randn(3, *LARGER))
    with torch.no_grad():
        alone, canvas = vit.pyramid(images, sides), vit.pyramid(images)
    height, width = (side // 16 for side in sides[0])
    assert not torch.allclose(alone[2][0, :, :height, :width], canvas[2][0, :, :height, :width])
    torch.testing.assert_close(alone[2][1], canvas[2][1])  # the largest fills it


def test_other_detectors_take_the_batch_as_it_is_unless_they_are_asked(build, picture):
    detector = build("small").eval()
    images, sides = batch(picture, torch.randn(3, *LARGER))
    with torch.no_grad():
        for level, other in zip(
            detector.pyramid(images, sides), detector.pyramid(images), strict=True
        ):
            assert torch.equal(level, other)
    assert not detector.each_alone
    assert build(*SMALL).each_alone
    assert build("cascade_small", "detector.each_alone=true").each_alone


@pytest.mark.parametrize("adaptation", ["frozen", "layer_decay", "lora"])
def test_what_trains_of_a_detector_with_a_plain_vit(build, picture, adaptation, target):
    pytest.importorskip("timm")
    detector = build(
        "faster_rcnn_vit", *VIT, f"adaptation@detector.backbone.adaptation={adaptation}"
    )
    pyramid = detector.train().pyramid(*batch(picture))
    truth = target([[10.0, 10, 50, 60]], [3], SIZE)
    result = detector.training_regions(pyramid, [truth])
    (sum(result.losses.values()) + result.levels[0].features.sum()).backward()
    learning = {name for name, p in detector.backbone.named_parameters() if p.grad is not None}
    everything = {name for name, _ in detector.backbone.named_parameters()}
    low_rank = {name for name in everything if name.endswith((".a", ".b"))}
    assert learning == {"frozen": set(), "layer_decay": everything, "lora": low_rank}[adaptation]
    assert bool(low_rank) == (adaptation == "lora")
    assert all(p.grad is not None for p in detector.fpn.parameters())
    groups = detector.scaled_parameters()
    assert len(groups) == (
        7 if adaptation == "layer_decay" else 0
    )  # the last norm has no weight that decays
