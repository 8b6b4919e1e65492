import pytest
import torch
from safetensors.torch import save_file

from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.checkpoints.safetensors_file import read_safetensors, write_safetensors
from bacl.files.kinds import UnreadableFileError

CONTENT = {
    "detector": {"weight": torch.arange(6.0).view(2, 3).t(), "steps": torch.tensor(3)},
    "heads": {"one": {"first.mask": torch.tensor([True, False]), "first._extra_state": {"n": 4}}},
    "categories": {"ids": [7, 2], "names": ["cat", "Hund – ü"]},
    "config": {"seed": 0, "rate": 1e-4, "none": None, "list": [1, 2.5, "x"]},
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, CONTENT, {"head": "one"})
    return path


def test_what_was_written_is_read(path):
    read = read_safetensors(path)
    assert {key: read[key] for key in ("categories", "config")} == {
        key: CONTENT[key] for key in ("categories", "config")
    }
    for name, value in CONTENT["detector"].items():
        assert torch.equal(read["detector"][name], value)
        assert read["detector"][name].dtype == value.dtype
    assert read["heads"]["one"]["first._extra_state"] == {"n": 4}
    assert read["heads"]["one"]["first.mask"].tolist() == [True, False]
    assert set(read) == set(CONTENT)


def test_a_damaged_byte_anywhere_in_the_weights_is_found(path):
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    for place in range(begin, len(data)):
        changed = bytearray(data)
        changed[place] ^= 64
        path.write_bytes(changed)
        with pytest.raises(UnreadableFileError, match="damaged"):
            read_safetensors(path)


def test_a_changed_letter_of_the_json_is_found(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1, 2.5", b"1, 3.5"))
    assert path.read_bytes() != data
    with pytest.raises(UnreadableFileError, match="checksum of its content is another"):
        read_safetensors(path)


@pytest.mark.parametrize("length", [0, 8, 9, 50, -1])
def test_half_a_file_is_told(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="nothing in it was executed"):
        load_stage(path)


def test_safetensors_of_others_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="of another project"):
        load_stage(path)


@pytest.mark.parametrize("rest", ["[1]", "{", '{"extra_state": 3}', "[" * 100_000])
def test_a_json_that_is_none_of_ours_is_told(path, rest):
    from bacl.checkpoints import safetensors_file as module

    tensors = {"detector.a": torch.zeros(1)}
    digest = module._digest(tensors, rest)
    save_file(tensors, path, {module.CONTENT: rest, module.DIGEST: digest})
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_safetensors(path)


def test_a_tensor_of_no_part_is_told(path):
    from bacl.checkpoints import safetensors_file as module

    tensors = {"strange": torch.zeros(1)}
    texts = {module.CONTENT: "{}", module.DIGEST: module._digest(tensors, "{}")}
    save_file(tensors, path, texts)
    with pytest.raises(UnreadableFileError, match="neither a detector nor a head"):
        read_safetensors(path)
