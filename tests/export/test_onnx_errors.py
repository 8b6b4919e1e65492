"""What torch's ONNX exporter cannot translate is told as an error that can be mended."""

import pytest
import torch
from torch import nn

from bacl.export.detector import ExportableDetector
from bacl.export.onnx import translated, write_onnx
from bacl.export.suppression import survivors_operator
from bacl.messages.errors import OptionError

OF_ANY = r"of any size \(.*has_no_translation.*\); name a size .*export\.image_size=\["


@torch.library.custom_op("bacl_tests::has_no_translation", mutates_args=())
def has_no_translation(images: torch.Tensor) -> torch.Tensor:
    return images.clone()


@has_no_translation.register_fake
def _(images: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(images)


class Alone(nn.Module):
    def forward(self, images, sizes):
        return has_no_translation(images), sizes


class Untranslated(ExportableDetector):
    def forward(self, images, sizes):
        return super().forward(has_no_translation(images), sizes)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((32, 32), r"of this size \(.*has_no_translation.*\); take export\.format=torch"),
        (None, OF_ANY),
    ],
)
def test_an_operator_without_translation_is_told_with_a_mend(size, told):
    inputs = torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([[32, 32]] * 2)
    recorded = torch.export.export(Alone(), inputs)
    with pytest.raises(OptionError, match=told) as raised:
        translated(recorded, ("images", "out"), size, {})
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_such_a_detector_leaves_no_file(stage, tmp_path):
    detector = Untranslated(stage.detector, stage.heads["bacl"], 300, survivors_operator)
    with pytest.raises(OptionError, match=OF_ANY):
        write_onnx(detector, None, tmp_path / "x.onnx", {})
    assert not list(tmp_path.iterdir())
