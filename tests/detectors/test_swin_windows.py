"""The windows of a Swin as torch's tracer can follow them, against timm's own."""

import pytest
import torch
from torch.export import Dim

from bacl.detectors.swin_windows import Windows, can_be_made_traceable
from bacl.detectors.timm_backbone import TimmBackbone

NARROW = {
    "strict_img_size": False, "embed_dim": 8, "depths": (2, 2, 2, 1), "num_heads": (1, 1, 2, 2)
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture
def swin() -> TimmBackbone:
    torch.manual_seed(0)
    model = TimmBackbone("swin_tiny_patch4_window7_224", 0, True, None, True, NARROW).eval()
    for parameter in model.parameters():  # weights of attention begin with next to nothing
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def windows(height, width, shift=(0, 0), window=(2, 3)) -> Windows:
    return Windows(height, width, window, shift, CPU)


def test_a_map_lies_in_windows_row_by_row_and_zeros_fill_the_last_ones():
    cut = windows(3, 4).cut(torch.arange(1.0, 13).view(1, 3, 4, 1))[0, :, :, 0]
    assert cut.tolist() == [
        [1, 2, 3, 5, 6, 7], [4, 0, 0, 8, 0, 0], [9, 10, 11, 0, 0, 0], [12, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],  # the one more
    ]  # fmt: skip


@pytest.mark.parametrize("shift", [(0, 0), (1, 1), (1, 0)])
@pytest.mark.parametrize("size", [(3, 4), (1, 1), (2, 3), (7, 5)])
def test_what_was_cut_is_joined_again(size, shift):
    x = torch.randn(2, *size, 5)
    divided = windows(*size, shift)
    assert torch.equal(divided.joined(divided.cut(x)), x)


def test_only_positions_that_a_shift_brought_together_are_shut_from_each_other():
    assert windows(4, 4).shut() is None
    shut = windows(4, 2, shift=(1, 0), window=(2, 2)).shut()
    assert shut.shape == (3, 1, 4, 4)
    apart = [[False, False, True, True]] * 2 + [[True, True, False, False]] * 2
    assert (shut[1, 0] == -100).tolist() == apart  # rows 3 and 0 of the map
    assert shut[0].count_nonzero() == shut[2].count_nonzero() == 0


@pytest.mark.parametrize("size", [(64, 96), (224, 224), (160, 64)])
def test_a_traceable_swin_gives_the_maps_of_timms(swin, size):
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = swin(images)
        swin.make_traceable()
        found = swin(images)
    for own, of_timm in zip(found, expected, strict=True):
        assert torch.allclose(own, of_timm, atol=1e-5)
        assert of_timm.std() > 0.05
    assert swin.any_size


@pytest.mark.parametrize("name", ["swinv2_cr_tiny_224", "maxvit_rmlp_pico_rw_256"])
def test_other_windows_stay_of_one_size(name):
    timm = pytest.importorskip("timm")
    assert not can_be_made_traceable(timm.create_model(name, features_only=True))


@pytest.mark.slow
def test_a_swin_is_recorded_for_pictures_of_any_size(swin):
    swin.make_traceable()
    any_size = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}

    class Padded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.swin = swin

        def forward(self, images):
            high, wide = ((side + 31) // 32 * 32 - side for side in images.shape[2:])
            return self.swin(torch.nn.functional.pad(images, (0, wide, 0, high)))

    model = Padded().eval()
    with torch.no_grad():
        program = torch.export.export(
            model, (torch.randn(2, 3, 230, 330),), dynamic_shapes=(any_size,)
        ).module()
        for size in ((160, 224), (224, 224), (96, 64), (40, 50)):
            images = torch.randn(3, 3, *size)
            for own, recorded in zip(model(images), program(images), strict=True):
                assert torch.allclose(own, recorded, atol=1e-5)
