"""Damaged and foreign files are told in a few words; nothing in them runs, and nothing hangs."""

import io
import os
import pickle
import random
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from bacl.files.kinds import UnreadableFileError
from bacl.files.torch_file import read_torch_file

CONTENT = {"weight": torch.arange(600.0), "name": "cat", "counts": [1, 2]}


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "some.pt"
    torch.save(CONTENT, path)
    return path


def rezipped(path: Path, edit, method: int = zipfile.ZIP_STORED) -> None:
    """The archive with its files changed, and checksums that agree."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, edit(name, source.read(name)))
    path.write_bytes(out.getvalue())


def refusal(path: Path, **options) -> str:
    with pytest.raises(UnreadableFileError) as error:
        read_torch_file(path, **options)
    told = str(error.value)
    assert len(told) < 200
    assert told.isprintable()
    assert "weights_only" not in told
    return told


def test_what_torch_wrote_comes_back(file):
    content = read_torch_file(file)
    assert content["name"] == "cat"
    assert torch.equal(content["weight"], CONTENT["weight"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer",
        ),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
        (b"\n <HTML>", "a web page"),
        (b"hello", "a text file"),
        (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
        (bytes(100), "damaged, or no file that torch wrote"),
        (b"PK\x03\x04 cut off", "damaged or not complete"),
        (b"\x80\x02cos\nsystem\n.", "damaged, or no file that torch wrote"),
    ],
)
@pytest.mark.parametrize("checksums", [True, False])
def test_other_files_are_called_what_they_are(tmp_path, content, told, checksums):
    (tmp_path / "bad.pt").write_bytes(content)
    reason = refusal(tmp_path / "bad.pt", checksums=checksums)
    assert told in reason or "os.system" in reason


def test_every_cut_and_every_bit_that_fell_over_is_told_or_harmless(file):
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(60):
        file.write_bytes(whole[: draw.randrange(len(whole))])
        refusal(file)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            content = read_torch_file(file)
        except UnreadableFileError:
            continue
        # Padding, dates: what an archive holds that nobody reads.
        assert torch.equal(content.pop("weight"), CONTENT["weight"])
        assert content == {"name": "cat", "counts": [1, 2]}


def test_damaged_pickles_with_fitting_checksums_fail_in_the_same_way(file):
    whole, draw = file.read_bytes(), random.Random(0)

    def fell(name: str, content: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return content
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 2, 5])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        return bytes(damaged)

    for _ in range(150):
        file.write_bytes(whole)
        rezipped(file, fell)
        with suppress(UnreadableFileError):  # what is left is a value, and no other error
            read_torch_file(file)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999,  # nested too deeply, and not ended
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",  # a number of 2 GB
        b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b".",  # a text of 4 GB
        b"\x80\x02.",
        b"",
    ],
)
def test_pickles_that_declare_more_than_there_is(file, pickled):
    rezipped(file, lambda name, old: pickled if name.endswith("data.pkl") else old)
    refusal(file)


def test_archives_that_torch_does_not_write(file):
    whole = file.read_bytes()
    rezipped(file, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert "an archive that torch did not write" in refusal(file)  # a bomb is compressed
    huge = bytearray(whole)
    struct.pack_into("<II", huge, whole.find(b"PK\x01\x02") + 20, 2**32 - 2, 2**32 - 2)
    file.write_bytes(huge)
    refusal(file)
    file.write_bytes(whole)
    rezipped(file, lambda name, content: content[:4] if "/data/" in name else content)
    refusal(file)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (torch.hub.load, "torch.hub.load")],
)
def test_what_asks_for_code_is_refused_by_its_name_and_nothing_runs(
    tmp_path, zipped, function, name
):
    trace = tmp_path / "executed"
    content = {"weight": torch.zeros(1), "x": Call(function, f"touch {trace}")}
    torch.save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    assert name in refusal(tmp_path / "evil.pt", checksums=False)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(content["x"]))
    refusal(tmp_path / "evil.pt", checksums=False)
    assert not trace.exists()


def test_files_from_before_torch_1_6_have_no_checksums(tmp_path):
    torch.save(CONTENT, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refusal(tmp_path / "old.pt")
    assert read_torch_file(tmp_path / "old.pt", checksums=False)["name"] == "cat"
