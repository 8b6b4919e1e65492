"""By a stand-in for TensorRT, which needs a GPU: calls, messages, and what is written."""

import ctypes
import json
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from bacl.export import tensorrt
from bacl.export.detector import ExportableDetector
from bacl.export.suppression import survivors_operator
from bacl.export.tensorrt import EngineError, EngineProgram, write_engine
from bacl.messages.errors import OptionError

NOTES = {"head": "bacl"}


@pytest.fixture
def stand_in(monkeypatch):
    """The module, as far as it is called, with a GPU that is there."""
    module = MagicMock()
    module.OnnxParser.return_value.parse_from_file.return_value = True
    builder = module.Builder.return_value
    builder.build_serialized_network.return_value = bytearray(b"engine")
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tensorrt, "write_onnx", lambda detector, size, path, notes: path.touch())
    return module


@pytest.fixture
def detector(stage) -> ExportableDetector:
    return ExportableDetector(stage.detector, stage.heads["bacl"], 1000, survivors_operator)


def test_an_engine_and_its_notes_are_written(stand_in, detector, tmp_path):
    path = tmp_path / "model.engine"
    write_engine(detector, (96, 128), path, NOTES, max_batch=4, tried=2)
    assert path.read_bytes() == b"engine"
    assert json.loads((tmp_path / "model.engine.json").read_text()) == NOTES
    assert {file.name for file in tmp_path.iterdir()} == {"model.engine", "model.engine.json"}
    profile = stand_in.Builder.return_value.create_optimization_profile.return_value
    shapes = {call.args[0]: call.args[1:] for call in profile.set_shape.call_args_list}
    assert shapes["images"] == ((1, 3, 96, 128), (1, 3, 96, 128), (4, 3, 96, 128))
    assert shapes["sizes"] == ((1, 2), (1, 2), (4, 2))


def test_what_it_cannot_is_told(stand_in, detector, stage, tmp_path, monkeypatch):
    path = tmp_path / "model.engine"
    with pytest.raises(OptionError, match=r"one size.*export\.image_size"):
        write_engine(detector, None, path, NOTES, max_batch=1, tried=1)
    many = ExportableDetector(stage.detector, stage.heads["bacl"], 5000, survivors_operator)
    with pytest.raises(OptionError, match=r"candidates=5000.*3840"):
        write_engine(many, (96, 128), path, NOTES, max_batch=1, tried=1)
    parser = stand_in.OnnxParser.return_value
    parser.num_errors, parser.get_error.side_effect = 2, ["no such node", "nor this"]
    parser.parse_from_file.return_value = False
    with pytest.raises(EngineError, match="refuses the network: no such node; nor this"):
        write_engine(detector, (96, 128), path, NOTES, max_batch=1, tried=1)
    parser.parse_from_file.return_value = True
    stand_in.Builder.return_value.build_serialized_network.return_value = None
    with pytest.raises(EngineError, match="no engine could be built"):
        write_engine(detector, (96, 128), path, NOTES, max_batch=1, tried=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match=r"PyTorch finds none here.*format=onnx"):
        write_engine(detector, (96, 128), path, NOTES, max_batch=1, tried=1)


def test_an_engine_is_run_by_name_and_its_outputs_come_in_order(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt, "DEVICE", "cpu")
    stream = SimpleNamespace(cuda_stream=7)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    engine = stand_in.Runtime.return_value.deserialize_cuda_engine.return_value
    context = engine.create_execution_context.return_value
    outputs = {"labels": ((2,), stand_in.int64), "boxes": ((2, 4), stand_in.float32)}
    names = ["labels", "sizes", "boxes", "images"]
    engine.num_io_tensors, engine.get_tensor_name.side_effect = len(names), names.__getitem__
    engine.get_tensor_dtype.side_effect = lambda name: outputs[name][1]
    context.get_tensor_shape.side_effect = lambda name: outputs[name][0]
    places = {}
    context.set_tensor_address.side_effect = places.__setitem__

    def run(handle):
        assert handle == 7
        sizes = (ctypes.c_int64 * 2).from_address(places["sizes"])
        (ctypes.c_int64 * 2).from_address(places["labels"])[:] = sizes
        (ctypes.c_float * 8).from_address(places["boxes"])[:] = range(8)
        return True

    context.execute_async_v3.side_effect = run
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    program = EngineProgram(path)
    images, sizes = torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([[4, 3]])
    boxes, labels = program(images, sizes)
    assert boxes.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert labels.tolist() == [4, 3]
    context.set_input_shape.assert_any_call("images", (1, 3, 4, 4))
    context.execute_async_v3.side_effect = lambda handle: False
    with pytest.raises(EngineError, match="could not run"):
        program(images, sizes)
