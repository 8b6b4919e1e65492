"""OpenVINO's files, a .xml with a .bin beside it, made of an ONNX file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacl.export.detector import ExportableDetector
from bacl.export.onnx import write_onnx
from bacl.export.packages import needed
from bacl.export.tracing import ImageSize

PACKAGES = "openvino onnx onnxscript onnxruntime"
PLACE = "model_info"
"""Of the notes in a model's runtime information, where OpenVINO's own tools keep theirs."""


def write_openvino(
    detector: ExportableDetector, size: ImageSize, path: Path, notes: Mapping[str, Any]
) -> None:
    """Write `path` (.xml) and the weights beside it, in float32, with `notes` as json texts.

    Args:
        detector: with `suppress=survivors_operator`.
        size: of the input.
        path: file to write.
        notes: by name.

    Raises:
        MissingPackageError: openvino, onnx or onnxscript is not installed.
    """
    needed("openvino", "openvino", "openvino", PACKAGES)
    between = path.with_suffix(".onnx")
    write_onnx(detector, size, between, notes)
    convert(between, path, notes)
    between.unlink()


def convert(source: Path, path: Path, notes: Mapping[str, Any]) -> None:
    """Make OpenVINO's files of an ONNX file.

    Args:
        source: from `write_onnx`.
        path: the .xml to write.
        notes: by name.

    Raises:
        MissingPackageError: openvino is not installed.
    """
    openvino = needed("openvino", "openvino", "openvino", PACKAGES)
    model = openvino.convert_model(source)
    for key, value in notes.items():
        model.set_rt_info(json.dumps(value), [PLACE, key])
    openvino.save_model(model, path, compress_to_fp16=False)


class OpenVINOProgram:
    """A file as OpenVINO runs it on a CPU, in float32."""

    def __init__(self, path: Path) -> None:
        openvino = needed("openvino", "openvino", "openvino", PACKAGES)
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.Core().compile_model(path, "CPU", options)

    def __call__(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """See `ExportableDetector.forward`."""
        outputs = self.model([images.numpy(), sizes.numpy()])
        return tuple(torch.from_numpy(outputs[port].copy()) for port in self.model.outputs)
