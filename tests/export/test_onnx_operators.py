"""Operators in ONNX against torch's, as onnxruntime and OpenVINO compute them."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from bacl.export.onnx_operators import TRANSLATIONS

runtime = pytest.importorskip("onnxruntime")


class Resampled(nn.Module):
    """Positions (1, D, h, w) for a map of a quarter of the images' sides."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 3, side, side + 2))

    def forward(self, images):
        size = [images.shape[2] // 4, images.shape[3] // 4]
        resize = nn.functional.interpolate
        return resize(self.positions, size=size, mode="bicubic", antialias=True)


def found_by_onnxruntime(path, images):
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return output


def found_by_openvino(path, images):
    openvino = pytest.importorskip("openvino")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    (output,) = openvino.Core().compile_model(path, "CPU", options)([images.numpy()]).values()
    return output


@pytest.mark.parametrize("found", [found_by_onnxruntime, found_by_openvino])
@pytest.mark.parametrize("side", [5, 17])
def test_smoothed_bicubic_is_torchs_for_maps_that_shrink_and_grow(side, found, tmp_path):
    torch.manual_seed(0)
    model, path = Resampled(side).eval(), tmp_path / "x.onnx"
    any_size = ({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    with torch.no_grad():
        program = torch.export.export(model, (torch.zeros(1, 3, 40, 52),), dynamic_shapes=any_size)
        torch.onnx.export(
            program, f=path, dynamo=True, custom_translation_table=TRANSLATIONS, verbose=False
        )
        for size in ((40, 52), (20, 84), (64, 64)):
            images = torch.zeros(1, 3, *size)
            expected = model(images)
            assert torch.allclose(torch.from_numpy(found(path, images)), expected, atol=1e-5)
