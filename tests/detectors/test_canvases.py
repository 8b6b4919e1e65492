"""Features of images on a larger canvas, which are those of the images."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bacl.detectors.canvases import Canvases, cut
from bacl.messages.errors import OptionError

SIDES = (96, 128)
CANVASES = [[160, 128], [128, 192]]
NARROW = "++detector.backbone.width=8"
SUPPORTED = (
    ("small", NARROW),
    ("faster_rcnn_mobilenet",),
    ("faster_rcnn_r50", NARROW),
    ("torchvision_faster_rcnn_r50_v2", NARROW),
)


@pytest.fixture(params=SUPPORTED, ids=lambda param: param[0])
def detector(build, request):
    """Frozen, of which no layer gives zeros for zeros."""
    torch.manual_seed(0)
    detector = build(*request.param).eval().requires_grad_(False)
    for layer in detector.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.bias, -0.5, 0.5)
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
        elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return detector


def greatest(maps, others):
    """Difference, relative to the greatest value of each level."""
    pairs = zip(maps, others, strict=True)
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


def test_features_on_a_canvas_are_those_without(replayed, detector):
    pixels = torch.randn(2, 3, *SIDES, generator=torch.Generator().manual_seed(0))
    alone = detector.pyramid(pixels)
    padded = detector.pyramid(F.pad(pixels, (0, 64, 0, 32)))
    detector.extract = replayed(1, CANVASES)
    found = detector.pyramid(pixels)
    assert [level.shape for level in found] == [level.shape for level in alone]
    assert greatest(alone, found) < 1e-5
    # Zeros around the images alone would not do: the border of each level would be another.
    assert greatest(alone, cut(padded, detector.strides, *SIDES)) > 0.05
    (state,) = detector.extract.recorded
    assert state == (160 // 4, 128 // 4)  # the smallest that holds them


@pytest.mark.parametrize("sides", [(65, 96), (96, 72)])
def test_images_of_other_sides_than_multiples_of_32_lie_on_no_canvas(replayed, build, sides):
    """Of an odd side the last position of a level looks beyond."""
    detector = build("small", NARROW).eval().requires_grad_(False)
    pixels = torch.randn(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    alone = detector.pyramid(pixels)
    detector.extract = replayed(1, CANVASES)
    assert all(torch.equal(*pair) for pair in zip(alone, detector.pyramid(pixels), strict=True))


def test_one_program_serves_images_of_several_sizes(replayed, build):
    detector = build("small", NARROW).eval().requires_grad_(False)
    detector.extract = replayed(1, CANVASES)
    for sides in ((64, 128), (96, 96), (160, 32)):
        pixels = torch.randn(1, 3, *sides)
        found = detector.pyramid(pixels)
        detector.extract, programs = None, detector.extract
        assert greatest(detector.pyramid(pixels), found) < 1e-5
        detector.extract = programs
    assert detector.extract.recorded == [(40, 32)]


def test_images_that_no_canvas_holds_stay_as_they_are(replayed, build):
    detector = build("small", NARROW).eval().requires_grad_(False)
    pixels = torch.randn(1, 3, 192, 160)
    alone = detector.pyramid(pixels)
    detector.extract = replayed(1, CANVASES)
    found = detector.pyramid(pixels)
    assert all(map(torch.equal, found, alone))
    assert detector.extract.recorded == [(48, 40)]


def test_levels_are_cut_to_the_cells_that_images_cover():
    levels = tuple(torch.arange(64.0 // n**2).view(1, 1, 8 // n, 8 // n) for n in (1, 2, 4))
    found = cut(levels, (4, 8, 16), 20, 32)
    assert [tuple(level.shape[2:]) for level in found] == [(5, 8), (3, 4), (2, 2)]
    assert found[0][0, 0, -1].tolist() == list(range(32, 40))


def test_the_smallest_canvas_is_taken():
    canvases = Canvases([[128, 128], [64, 96], [96, 64]])
    assert [tuple(x.shape) for x in canvases.with_room(torch.ones(2, 3, 64, 64))] == [
        (2, 3, 64, 96),
        (2,),
    ]
    larger, extent = canvases.with_room(torch.ones(1, 3, 96, 32))
    assert tuple(larger.shape[2:]) == (96, 64)
    assert extent.tolist() == [96, 32]
    assert larger.sum() == 3 * 96 * 32
    assert len(canvases.with_room(torch.ones(1, 3, 160, 32))) == 1


def test_sides_are_multiples_of_32():
    with pytest.raises(OptionError, match=r"compile\.canvases: \[64, 100\] are no multiples of 32"):
        Canvases([[64, 100]])


def test_canvases_are_refused_where_layers_would_see_them(replayed, build):
    programs = replayed(1, CANVASES)
    programs.require_canvases(build("faster_rcnn_r18"))
    with pytest.raises(OptionError, match="MobileNetV3 with FeaturePyramid would see the canvas"):
        programs.require_canvases(build("torchvision_faster_rcnn_mobilenet_v3"))
    replayed(1).require_canvases(build("torchvision_faster_rcnn_mobilenet_v3"))


def test_that_canvases_wait_for_layers_that_learn_is_told(replayed, build, caplog):
    detector = build("small", NARROW).eval()
    detector.extract = replayed(1, CANVASES)
    with torch.no_grad():
        for _ in range(2):
            detector.pyramid(torch.zeros(1, 3, 64, 64))
    assert len(caplog.messages) == 1
    assert "no canvases while backbone or pyramid train" in caplog.text
