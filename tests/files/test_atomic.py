import errno
import os
import re
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from bacl.files.atomic import UnwritableError, replacing
from bacl.files.saving import save


def test_writes_into_a_new_folder(tmp_path):
    with replacing(tmp_path / "a" / "b.txt") as path:
        path.write_text("new")
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "b.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    both_inside = Barrier(2, timeout=30)

    def write(text):
        with replacing(tmp_path / "b.txt") as path:
            path.write_text(text)
            both_inside.wait()
            assert path.read_text() == text

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, ["first", "second"]))
    assert (tmp_path / "b.txt").read_text() in ("first", "second")
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_what_takes_the_place_is_on_the_disk_before_and_the_folder_after(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr("os.fsync", lambda handle: steps.append(os.fstat(handle).st_ino))
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, target: steps.append("moved") or replace(path, target)
    )
    with replacing(tmp_path / "b.txt") as path:
        path.write_text("new")
        written = path.stat().st_ino
    assert steps == [written, "moved", tmp_path.stat().st_ino]


def test_a_folder_that_cannot_be_flushed_fails_nothing(tmp_path, monkeypatch):
    flush = os.fsync

    def refusing(handle):
        if os.fstat(handle).st_ino == tmp_path.stat().st_ino:
            refuse(errno.EINVAL)  # as some network and FUSE file systems do
        flush(handle)

    monkeypatch.setattr("os.fsync", refusing)
    with replacing(tmp_path / "b.txt") as path:
        path.write_text("new")
    assert (tmp_path / "b.txt").read_text() == "new"


def refuse(number, filename=None):
    raise OSError(number, os.strerror(number), filename)


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.ENOSPC, "No space left on device; free some space"), (errno.EROFS, "Read-only.*mount")],
)
def test_a_refusal_names_the_file_and_the_mend(tmp_path, number, mend):
    target = tmp_path / "b.txt"
    target.write_text("old")
    with (
        pytest.raises(UnwritableError, match=f"{re.escape(str(target))} cannot be written: {mend}"),
        replacing(target),
    ):
        refuse(number)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_a_writer_that_hides_the_reason_is_seen_through(tmp_path):
    def write():
        try:
            refuse(errno.ENOSPC)
        except OSError as error:
            raise RuntimeError("unexpected pos 640 vs 598") from error

    with pytest.raises(UnwritableError, match="No space left"), replacing(tmp_path / "b.txt"):
        write()


def test_a_file_in_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "runs").touch()
    with (
        pytest.raises(UnwritableError, match=r"runs/b\.txt cannot be written.*move the file"),
        replacing(tmp_path / "runs/b.txt"),
    ):
        pytest.fail("there is no place to write to")


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(PermissionError) as caught, replacing(tmp_path / "b.txt"):
        refuse(errno.EACCES, "/elsewhere/read.txt")  # of a file that is read
    assert not isinstance(caught.value, UnwritableError)
    with pytest.raises(PermissionError) as caught, replacing(tmp_path / "out.json"):
        refuse(errno.EACCES, tmp_path / "in.json")  # beside the one that is written
    assert not isinstance(caught.value, UnwritableError)
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "b.txt"):
        (tmp_path / "missing").read_text()


def test_the_temporary_file_is_the_file(tmp_path):
    with (
        pytest.raises(UnwritableError, match=r"out\.json cannot be written: Permission denied"),
        replacing(tmp_path / "out.json") as temporary,
    ):
        refuse(errno.EACCES, temporary)


def test_a_defect_while_a_refusal_is_handled_is_a_defect(tmp_path):
    def write():
        try:
            refuse(errno.EEXIST)
        except OSError:
            {}["missing"]

    with pytest.raises(KeyError), replacing(tmp_path / "b.txt"):
        write()


def test_a_full_disk_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    full = Path("/dev/full")  # takes no byte, as a disk without space
    if not full.exists():
        pytest.skip("no /dev/full here")
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: opened(full, mode))
    with pytest.raises(UnwritableError, match=r"last\.ckpt cannot be written: No space left"):
        save({"weight": torch.zeros(100_000)}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after", [0, 1, 1000, 200_000, 399_000])
def test_a_disk_that_fills_up_within_a_checkpoint_leaves_the_earlier_one(tmp_path, after):
    """At the first write, among the tensors, or while the archive is closed."""
    path = tmp_path / "last.ckpt"
    save({"weight": torch.zeros(10)}, path)
    earlier = path.read_bytes()
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, most))
    try:
        with pytest.raises(UnwritableError, match=r"last\.ckpt cannot be written: File too large"):
            save({f"weight{number}": torch.zeros(1000) for number in range(100)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == earlier
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
