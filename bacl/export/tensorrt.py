"""TensorRT's engines, made of an ONNX file for the GPU that they are made on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bacl.export.detector import ExportableDetector
from bacl.export.onnx import write_onnx
from bacl.export.packages import needed
from bacl.export.tracing import INPUTS, MEND, OUTPUTS, ImageSize
from bacl.messages.errors import OptionError, UserError

PACKAGES = "tensorrt onnx onnxscript onnxruntime"
MOST_CANDIDATES = 3840
"""Of a layer that takes the best of many: ITopKLayer's limit (TensorRT's documentation)."""


DEVICE = "cuda"


class EngineError(UserError, RuntimeError):
    """TensorRT refuses the network, or there is no GPU."""


def write_engine(
    detector: ExportableDetector,
    size: ImageSize,
    path: Path,
    notes: Mapping[str, Any],
    max_batch: int,
    tried: int,
) -> None:
    """Write the engine, in float32, and its notes beside it: `path`.json.

    It runs on GPUs like the one of this machine and by the version of TensorRT that made it.

    Args:
        detector: with `suppress=survivors_operator`.
        size: of the input.
        path: file to write.
        notes: by name; an engine has no place for them.
        max_batch: pictures of a batch at most.
        tried: pictures of the batch that it is tried on, which it takes in any case.

    Raises:
        MissingPackageError: tensorrt, onnx or onnxscript is not installed.
        OptionError: pictures of any size, or more candidates than TensorRT takes.
        EngineError: there is no GPU, or TensorRT refuses the network.
    """
    trt = _runtime()
    if size is None:
        raise OptionError(f"export.format=tensorrt: an engine has one size; {MEND}")
    if detector.select.candidates > MOST_CANDIDATES:
        raise OptionError(
            f"export.candidates={detector.select.candidates}: TensorRT takes the best "
            f"{MOST_CANDIDATES} at most"
        )
    between = path.with_suffix(".onnx")
    write_onnx(detector, size, between, notes)
    path.write_bytes(_built(trt, between, size, max(max_batch, tried)))
    between.unlink()
    path.with_name(f"{path.name}.json").write_text(
        json.dumps(dict(notes), indent=1), encoding="utf-8"
    )


def _runtime() -> Any:
    trt = needed("tensorrt", "tensorrt", "tensorrt", PACKAGES)
    if not torch.cuda.is_available():
        raise EngineError(
            "export.format=tensorrt: an engine is made on the GPU that it runs on, and PyTorch "
            "finds none here; export.format=onnx gives the file that it is made of"
        )
    return trt


def _built(trt: Any, source: Path, size: tuple[int, int], max_batch: int) -> bytes:
    """The engine of an ONNX file."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        told = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise EngineError(f"export.format=tensorrt: TensorRT refuses the network: {told}")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.clear_flag(trt.BuilderFlag.TF32)
    shapes = dict(zip(INPUTS, ((3, *size), (2,)), strict=True))
    for name, shape in shapes.items():
        profile.set_shape(name, *((count, *shape) for count in (1, 1, max_batch)))
    config.add_optimization_profile(profile)
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise EngineError("export.format=tensorrt: no engine could be built; its log says why")
    return bytes(made)


class EngineProgram:
    """An engine as TensorRT runs it on the GPU."""

    def __init__(self, path: Path) -> None:
        self.trt = _runtime()
        engine = self.trt.Runtime(self.trt.Logger()).deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise EngineError(f"{path}: TensorRT does not take its own engine; its log says why")
        self.engine, self.context = engine, engine.create_execution_context()

    def __call__(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """See `ExportableDetector.forward`; on the CPU."""
        given = {"images": images.to(DEVICE), "sizes": sizes.to(DEVICE)}
        for name, tensor in given.items():
            self.context.set_input_shape(name, tuple(tensor.shape))
        every = [self.engine.get_tensor_name(n) for n in range(self.engine.num_io_tensors)]
        found = {name: self._empty(name) for name in every if name not in given}
        for name, tensor in (given | found).items():
            self.context.set_tensor_address(name, tensor.data_ptr())
        if not self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise EngineError("TensorRT could not run the engine; its log says why")
        torch.cuda.synchronize()
        return tuple(found[name].cpu() for name in OUTPUTS if name in found)

    def _empty(self, name: str) -> Tensor:
        kinds = {self.trt.float32: torch.float32, self.trt.int64: torch.int64}
        kind = kinds[self.engine.get_tensor_dtype(name)]
        return torch.empty(tuple(self.context.get_tensor_shape(name)), dtype=kind, device=DEVICE)
