"""Files that other runtimes run, from pixels to detections."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.export.detection_agreement import Agreement
from bacl.export.onnx import ONNXProgram, write_onnx
from bacl.export.openvino import OpenVINOProgram, write_openvino
from bacl.export.order import Order
from bacl.export.program import TorchProgram, write_program
from bacl.export.suppression import Survivors, survivors, survivors_operator
from bacl.export.tensorrt import EngineProgram, write_engine
from bacl.export.trial_batch import Program
from bacl.export.tried import Finds

OPTIONS = ("image_size", "candidates", "score_threshold", "one_label")
"""Of `export`, that every one of them reads."""


@dataclass(frozen=True)
class Runtime:
    """A kind of files."""

    suffix: str
    suppress: Survivors
    """Which the tracer is to see."""
    write: Callable[..., None]
    """From detector, size, path and notes, and its own options."""
    opened: Callable[[Path], Program]
    options: tuple[str, ...] = ()
    """Of `export`, that it reads, too."""

    def export(self, order: Order, output: Path) -> Agreement:
        """Write a file, once it has been tried."""
        branch = order.model.stage.detector.mask
        threshold = None if branch is None else branch.threshold

        def write(path: Path) -> None:
            own: dict[str, Any] = {name: order.options[name] for name in self.options}
            self.write(order.exportable(self.suppress), order.size, path, order.notes, **own)

        def opened(path: Path) -> Finds:
            program = self.opened(path)
            return lambda trial: trial.found(program, threshold)

        return order.write(output, write, opened, rounds=True)


RUNTIMES = {
    "onnx": Runtime(".onnx", survivors_operator, write_onnx, ONNXProgram),
    "torch": Runtime(".pt2", survivors, write_program, TorchProgram),
    "openvino": Runtime(".xml", survivors_operator, write_openvino, OpenVINOProgram),
    "tensorrt": Runtime(
        ".engine", survivors_operator, write_engine, EngineProgram, options=("max_batch", "tried")
    ),
}
"""By name of the format."""
