"""What killed processes leave is swept; what another one is writing is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bacl.data.annotations.table_cache import table_folder
from bacl.data.builtin.data_set import build
from bacl.files import leftovers
from bacl.files.atomic import UnwritableError, replacing, telling_refusal
from bacl.files.leftovers import sweep, unfinished, unfinished_folder
from bacl.runs.folder import exclusive

WRITES = """
import sys, time
from pathlib import Path
from bacl.files.atomic import replacing
from bacl.files.leftovers import unfinished_folder
place = Path(sys.argv[1])
with replacing(place / "table.npz") as path, unfinished_folder(place / "data"):
    path.write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Another process that is in the middle of writing a file and a folder."""
    command = [sys.executable, "-c", WRITES, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout.readline() == "half\n"
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_another_process_writes_is_left_alone(writer, tmp_path):
    before = names(tmp_path)
    assert len(before) == 2
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_what_a_killed_process_left_is_removed(writer, tmp_path):
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert len(names(tmp_path)) == 2
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_run_begins_with_a_swept_folder(tmp_path):
    left = [unfinished(tmp_path / name) for name in ("DONE", "final.ckpt", "stage/last.ckpt")]
    left[2].parent.mkdir()
    for path in left:
        path.touch()
    with exclusive(tmp_path):
        assert not [path for path in left if path.exists()]


def test_what_earlier_versions_left_in_a_run_is_swept_too(tmp_path):
    left = [tmp_path / name for name in (".DONE.41", "stage/.last.123.ckpt", "stage/.a.7.npz")]
    kept = [tmp_path / name for name in ("last.1.ckpt", "stage/.env", "stage/.a.b.7.npz")]
    (tmp_path / "stage").mkdir()
    for path in (*left, *kept):
        path.touch()
    with exclusive(tmp_path):
        assert not [path for path in left if path.exists()]
        assert all(path.exists() for path in kept)


def test_what_earlier_versions_left_of_data_and_tables_is_swept_too(tmp_path):
    tables = tmp_path / "data/.bacl-tables"
    left = [tmp_path / ".data-x1_abcde/train", tables / ".building-train-0a1b-v3-abcdefgh"]
    kept = [tmp_path / ".data-exporter/mine", tmp_path / ".date-x1_abcde"]
    for path in (left[0], *kept):
        path.mkdir(parents=True)
    made = build(tmp_path / "data", 3, 4, 2, 32, (1, 2), 0, (8, 10), annotations_only=True)
    left[1].mkdir(parents=True)
    table_folder(made.train_annotations)
    assert not [path for path in left if path.exists()]
    assert not left[0].parent.exists()
    assert all(path.exists() for path in kept)


def test_the_first_file_that_is_written_sweeps_its_folder(tmp_path):
    unfinished(tmp_path / "detections_bacl.json").touch()
    with replacing(tmp_path / "images.json") as path:
        path.write_text("[]")
    assert names(tmp_path) == ["images.json"]


def test_others_names_are_no_leftovers(tmp_path):
    others = (".table.npz", ".table.123.npz", "x.00c0ffee.unfinished", ".unfinished", ".env.d")
    for name in others:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == sorted(others)


def test_what_another_machine_began_is_swept_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "_machine", lambda: "0123ab")
    fresh, old, filled = (unfinished(tmp_path / name) for name in ("a.txt", "b.txt", "data"))
    earlier = tmp_path / ".c.00c0ffee.unfinished"  # as versions wrote that named no machine
    filled.mkdir()
    for path in (fresh, old, earlier, filled / "new"):
        path.touch()
    for path in (old, filled):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    monkeypatch.undo()
    sweep(tmp_path)
    assert names(tmp_path) == sorted([fresh.name, filled.name, earlier.name])


def test_what_is_removed_while_it_is_written_is_told_in_one_line(tmp_path):
    def write():
        with replacing(tmp_path / "a.txt") as path:
            path.unlink()

    with pytest.raises(UnwritableError, match=r"a\.txt cannot be written: it was removed .* again"):
        write()


def test_a_folder_that_is_removed_while_it_is_written_is_told(tmp_path):
    def write():
        with telling_refusal(tmp_path / "data"), unfinished_folder(tmp_path / "data") as folder:
            folder.rmdir()
            (folder / "a").touch()

    with pytest.raises(UnwritableError, match="data cannot be written: it was removed"):
        write()


def test_only_those_of_one_file(tmp_path):
    mine, other, longer = (unfinished(tmp_path / name) for name in ("data", "date", "data.npz"))
    for path in (mine, other, longer):
        path.touch()
    sweep(tmp_path, unfinished_of=tmp_path / "data")
    assert names(tmp_path) == sorted([other.name, longer.name])


def test_folders_below_are_swept_where_asked(tmp_path):
    left = unfinished(tmp_path / "stage/heads/bacl.npz")
    left.parent.mkdir(parents=True)
    left.touch()
    sweep(tmp_path)
    assert left.exists()
    sweep(tmp_path, below=True)
    assert not left.exists()


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    opened, swept = os.open, []

    def late(path, *args, **options):
        if not swept:
            swept.append(path)
            sweep(tmp_path)
        return opened(path, *args, **options)

    made = Path.touch
    monkeypatch.setattr(
        Path, "touch", lambda path: (made(path), monkeypatch.setattr(os, "open", late))
    )
    with replacing(tmp_path / "a.txt") as path:
        path.write_text("whole")
    assert len(swept) == 1
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_folder_is_gone_after_the_block_unless_it_was_moved(tmp_path):
    with unfinished_folder(tmp_path / "data") as folder:
        (folder / "a").touch()
    assert names(tmp_path) == []
    with unfinished_folder(tmp_path / "data") as folder:
        folder.replace(tmp_path / "data")
    assert names(tmp_path) == ["data"]
