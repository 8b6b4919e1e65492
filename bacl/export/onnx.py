"""ONNX files, for onnxruntime and what else reads them."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from bacl.export.detector import ExportableDetector
from bacl.export.packages import needed
from bacl.export.tracing import INPUTS, MEND, ImageSize, outputs_of, traced
from bacl.messages.errors import OptionError, in_one_line
from bacl.messages.shown import shown

OPSET = 18
"""RoiAlign with the half-pixel shift needs 16; torch's exporter writes 18 natively."""
PACKAGES = "onnx onnxscript onnxruntime"
SIDES = ("batch", "channels", "height", "width")
OTHERWISE = "take export.format=torch, which needs no translation, or safetensors"
"""Where a size is named already."""
TOLD = 300
"""Letters of the exporter's reason: the rest are reports of its own."""
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
        OptionError: the detector cannot be recorded, or not be said in ONNX, for this input.
    """
    onnx = needed("onnx", "onnx", "export", PACKAGES)
    operators = needed("bacl.export.onnx_operators", "onnx", "export", PACKAGES)
    for name in ("onnx_ir", "onnxscript"):  # they tell of every node they fold
        logging.getLogger(name).setLevel(logging.WARNING)
    recorded, outputs = traced(detector, size), outputs_of(detector)
    model = translated(recorded, outputs, size, operators.TRANSLATIONS)
    _name_sizes(model)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in notes.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def translated(
    recorded: ExportedProgram,
    outputs: Sequence[str],
    size: ImageSize,
    translations: dict[Any, Any],
) -> Any:
    """The recorded program as a protobuf of ONNX."""
    try:
        program = torch.onnx.export(
            recorded,
            input_names=INPUTS,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            custom_translation_table=translations,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        sizes, mend = ("any size", MEND) if size is None else ("this size", OTHERWISE)
        raise OptionError(
            f"torch's exporter cannot write this detector as ONNX for pictures of {sizes} "
            f"({shown(in_one_line(error.__cause__ or error), TOLD)}); {mend}"
        ) from error
    assert program is not None  # only the older exporter returns nothing
    return program.model_proto


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
