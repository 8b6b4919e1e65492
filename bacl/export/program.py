"""Programs of torch.export, for PyTorch without this project."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from bacl.export.detector import ExportableDetector
from bacl.files.atomic import replacing


def write_program(detector: ExportableDetector, path: Path, notes: dict[str, Any]) -> None:
    """Write the detector as a .pt2 file, with `notes` as its extra file notes.json.

    `torch.export.load(path).module()(image, size)` runs it once torchvision is imported.

    Args:
        detector: with `suppress=survivors`.
        path: file to write, as a whole or not at all.
        notes: by name.
    """
    with warnings.catch_warnings():  # torchvision 0.29 registers its operator in an older way
        warnings.filterwarnings("ignore", message="`create_unbacked_symint` is deprecated")
        program = torch.export.export(detector, detector.example)
    with replacing(path) as temporary:
        torch.export.save(program, temporary, extra_files={"notes.json": json.dumps(notes)})
