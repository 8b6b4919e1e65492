"""ONNX files, for onnxruntime and what else reads them."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacl.export.detector import ExportableDetector
from bacl.export.packages import needed
from bacl.export.tracing import INPUTS, ImageSize, outputs_of, traced

OPSET = 18
"""RoiAlign with the half-pixel shift needs 16; torch's exporter writes 18 natively."""
PACKAGES = "onnx onnxscript onnxruntime"
SIDES = ("batch", "channels", "height", "width")
CPU = ["CPUExecutionProvider"]


def write_onnx(
    detector: ExportableDetector, size: ImageSize, path: Path, notes: Mapping[str, Any]
) -> None:
    """Write the detector as one ONNX file, with `notes` as json in its metadata.

    Args:
        detector: with `suppress=survivors_operator`, which becomes a NonMaxSuppression.
        size: of the input.
        path: file to write.
        notes: by name.

    Raises:
        MissingPackageError: onnx or onnxscript is not installed.
    """
    onnx = needed("onnx", "onnx", "export", PACKAGES)
    operators = needed("bacl.export.onnx_operators", "onnx", "export", PACKAGES)
    for name in ("onnx_ir", "onnxscript"):  # they tell of every node they fold
        logging.getLogger(name).setLevel(logging.WARNING)
    program = torch.onnx.export(
        traced(detector, size),
        input_names=INPUTS,
        output_names=outputs_of(detector),
        opset_version=OPSET,
        dynamo=True,
        custom_translation_table=operators.TRANSLATIONS,
        verbose=False,
    )
    assert program is not None  # only the older exporter returns nothing
    model = program.model_proto
    _name_sizes(model)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in notes.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _name_sizes(model: Any) -> None:
    """Call what a user may choose by names, where the tracer has numbered it."""
    images = model.graph.input[0].type.tensor_type.shape.dim
    given = {dim.dim_param: name for dim, name in zip(images, SIDES, strict=True) if dim.dim_param}
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in given:
                dim.dim_param = given[dim.dim_param]
    del model.graph.value_info[:]  # these have the numbers still


class ONNXProgram:
    """A file as onnxruntime runs it on a CPU.

    Raises:
        MissingPackageError: onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        runtime = needed("onnxruntime", "onnx", "export", PACKAGES)
        self.session = runtime.InferenceSession(path, providers=CPU)

    def __call__(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """See `ExportableDetector.forward`."""
        given = {"images": images.numpy(), "sizes": sizes.numpy()}
        return tuple(torch.from_numpy(output) for output in self.session.run(None, given))
