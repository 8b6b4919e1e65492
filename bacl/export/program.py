"""Programs of torch.export, for PyTorch without this project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision  # noqa: F401  (a loaded program needs its operators)
from torch import Tensor

from bacl.export.detector import ExportableDetector
from bacl.export.tracing import MEND, ImageSize, traced
from bacl.messages.errors import OptionError, in_one_line

NOTES = "notes.json"


def write_program(
    detector: ExportableDetector, size: ImageSize, path: Path, notes: Mapping[str, Any]
) -> None:
    """Write the detector as a .pt2 file, with `notes` as its extra file notes.json.

    `torch.export.load(path).module()(images, sizes)` runs it once torchvision is imported.

    Args:
        detector: with `suppress=survivors`.
        size: of the input.
        path: file to write.
        notes: by name.
    """
    program = traced(detector, size)
    torch.export.save(program, path, extra_files={NOTES: json.dumps(dict(notes))})


class TorchProgram:
    """A file as PyTorch runs it."""

    def __init__(self, path: Path) -> None:
        self.module = torch.export.load(path).module()

    def __call__(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """See `ExportableDetector.forward`.

        Raises:
            OptionError: the program was recorded for any size, and these pictures are too small:
                maps of a single cell are other programs to torch.
        """
        try:
            with torch.no_grad():
                outputs: tuple[Tensor, ...] = self.module(images, sizes)
        except AssertionError as error:
            height, width = images.shape[2:]
            raise OptionError(
                f"a program of PyTorch for pictures of any size takes none of {height} x {width} "
                f"pixels ({in_one_line(error)}); take export.format=onnx, or {MEND}"
            ) from error
        return outputs
