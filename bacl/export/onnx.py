"""ONNX files, for onnxruntime and what else reads them."""

import json
import logging
from pathlib import Path
from typing import Any

import torch

from bacl.export.detector import ExportableDetector
from bacl.export.tensor_names import INPUTS, OUTPUTS
from bacl.files.atomic import replacing
from bacl.messages.errors import UserError

OPSET = 18
"""RoiAlign with the half-pixel shift needs 16; torch's exporter writes 18 natively."""


class MissingPackageError(UserError, ImportError):
    """A format needs packages that are not installed."""


def write_onnx(detector: ExportableDetector, path: Path, notes: dict[str, Any]) -> None:
    """Write the detector as one ONNX file, with `notes` as json in its metadata.

    Args:
        detector: with `suppress=survivors_operator`, which becomes a NonMaxSuppression.
        path: file to write, as a whole or not at all.
        notes: by name.

    Raises:
        MissingPackageError: onnx or onnxscript is not installed.
    """
    onnx, translations = _require()
    for name in ("onnx_ir", "onnxscript"):  # they tell of every node they fold
        logging.getLogger(name).setLevel(logging.WARNING)
    program = torch.onnx.export(
        detector,
        detector.example,
        input_names=INPUTS,
        output_names=OUTPUTS,
        opset_version=OPSET,
        dynamo=True,
        custom_translation_table=translations,
        verbose=False,
    )
    assert program is not None  # only the older exporter returns nothing
    model = program.model_proto
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in notes.items()})
    onnx.checker.check_model(model)
    with replacing(path) as temporary:
        onnx.save(model, temporary)


def _require() -> tuple[Any, dict[Any, Any]]:
    try:
        import onnx

        from bacl.export.onnx_operators import TRANSLATIONS
    except ImportError as error:
        raise MissingPackageError(
            f"export.format=onnx: {error}; install what it needs with pip install 'bacl[export]' "
            "(or: pip install onnx onnxscript onnxruntime)"
        ) from error
    return onnx, TRANSLATIONS
