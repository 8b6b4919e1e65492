"""Which tables are believed: those that this user's processes built of the very file."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from bacl.data.annotations import table_cache
from bacl.data.annotations.column_files import save_column
from bacl.data.annotations.table import AnnotationTable
from bacl.files import digests as file_digests
from bacl.files.atomic import UnwritableError
from bacl.files.digests import Memory, known_digest
from bacl.files.leftovers import unfinished, unfinished_folder

RUNS = [100, 50, 48 * 64 - 150]


@pytest.fixture
def file(tmp_path) -> Path:
    """One image, two categories, four objects with run-length masks."""
    content = {
        "images": [{"id": 1, "file_name": "0.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                **{"id": n, "image_id": 1, "category_id": 1 + n % 2, "bbox": [1, 1, 20, 20]},
                "segmentation": {"size": [48, 64], "counts": RUNS},
            }
            for n in range(4)
        ],
    }
    path = tmp_path / "set" / "train.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def forgotten(monkeypatch, tmp_path):
    """Makes this process another user, or another machine, with a memory of its own."""

    def forget():
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache_{time.monotonic_ns()}"))

    return forget


def check(file):
    table = AnnotationTable.open(file)
    assert table.category_names == ["cat", "dog"]
    assert table.labels.tolist() == [0, 1, 0, 1]
    assert table.boxes.tolist() == [[1, 1, 20, 20]] * 4
    assert table.masks(0, range(4)).sum(axis=(1, 2)).tolist() == [50] * 4
    assert table.file_name(0) == "0.jpg"
    return table.folder


def column(name, change):
    def changed(folder):
        save_column(folder, name, change(np.load(folder / f"{name}.npy")))

    return changed


def described(folder):
    path = folder / "table.json"
    path.write_text(path.read_text().replace('"cat", "dog"', '"dog", "cat"'))


def short_runs(folder):
    save_column(folder, "codes", np.frombuffer(b"1111", np.uint8))
    save_column(folder, "codes_offsets", np.arange(5))


def pipe(folder):
    (folder / "boxes.npy").unlink()
    os.mkfifo(folder / "boxes.npy")


def endless(folder):
    with (folder / "boxes.npy").open("r+b") as stream:
        stream.truncate(1 << 42)


def kept_times(folder):
    """What an archive can set back: sizes and times of change."""
    path = folder / "labels.npy"
    status = path.stat()
    column("labels", lambda labels: 1 - labels)(folder)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = {
    "labels": column("labels", lambda labels: 1 - labels),
    "labels with their times": kept_times,
    "boxes": column("boxes", lambda boxes: boxes + 10),
    "offsets": column("offsets", lambda offsets: offsets * 1000),
    "sizes of masks": column("code_sizes", lambda sizes: sizes * 1000),
    "names": described,
    "short run lengths": short_runs,
    "a pipe": pipe,
    "an endless file": endless,
    "a column less": lambda folder: (folder / "boxes.npy").unlink(),
    "a file more": lambda folder: (folder / "more.npy").touch(),
    "a folder more": lambda folder: (folder / "more").mkdir(),
    "no column": lambda folder: [path.unlink() for path in folder.iterdir()],
    "no json": lambda folder: (folder / "table.json").write_text("[" * 100_000),
    "no folder": lambda folder: (shutil.rmtree(folder), folder.write_text("")),
    "a link to nothing": lambda folder: (shutil.rmtree(folder), folder.symlink_to("nothing")),
    "a link to a link": lambda folder: (shutil.rmtree(folder), folder.symlink_to(folder)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_table_is_built_again(file, change):
    folder = check(file)
    change(folder)
    assert check(file) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("change", [CHANGES["labels"], CHANGES["names"], short_runs, pipe])
def test_a_table_that_came_with_the_data_is_built_again(file, forgotten, change):
    folder = check(file)
    change(folder)
    forgotten()
    assert check(file) == folder


def test_another_users_good_table_is_used(file, forgotten, monkeypatch):
    folder = check(file)
    built = folder.stat().st_ino
    forgotten()
    monkeypatch.setattr(os, "access", lambda path, mode: ".bacl-tables" not in str(path))
    assert check(file) == folder
    assert folder.stat().st_ino == built


def test_a_place_that_may_not_be_read_counts_as_absent(file, forgotten, monkeypatch):
    refused = check(file).parent
    forgotten()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != refused)
    listed = Path.iterdir
    monkeypatch.setattr(
        Path, "iterdir", lambda path: _refuse() if refused in path.parents else listed(path)
    )
    own = check(file)
    assert own.parent.name == "tables"
    assert check(file) == own


def _refuse():
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("mode", "files", "folder"), [(0o644, 0o644, 0o755), (0o640, 0o640, 0o750)]
)
def test_who_may_read_the_json_may_read_the_table(file, mode, files, folder):
    file.chmod(mode)
    before = os.umask(0o077)
    try:
        table = check(file)
    finally:
        os.umask(before)
    assert table.stat().st_mode & 0o777 == folder
    assert {path.stat().st_mode & 0o777 for path in table.iterdir()} == {files}


def test_a_json_that_changes_with_its_size_and_time_kept_gets_another_table(file, monkeypatch):
    monkeypatch.setattr(file_digests, "_SETTLED", -(10**18))
    folder = check(file)
    status = file.stat()
    time.sleep(0.02)  # a tick of the file system's clock
    file.write_text(file.read_text().replace('"cat"', '"cow"'))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    table = AnnotationTable.open(file)
    assert table.category_names == ["cow", "dog"]
    assert table.folder != folder


def test_a_file_that_was_just_written_is_read_again(tmp_path):
    path = tmp_path / "file"
    memory = Memory(tmp_path / "memory")
    digests = set()
    for letter in "abc":  # perhaps within one tick of the clock, with the same size
        path.write_text(letter)
        digests.add(known_digest([path], "key", memory))
    assert len(digests) == 3


def test_opening_again_reads_no_file(file, monkeypatch):
    monkeypatch.setattr(file_digests, "_SETTLED", -(10**18))
    folder = check(file)
    monkeypatch.setattr(file_digests, "read_digest", lambda files: pytest.fail("read again"))
    assert check(file) == folder


def test_a_copied_data_set_keeps_its_table(file, tmp_path):
    folder = check(file)
    copied = shutil.copytree(file.parent, tmp_path / "copy")
    built = copied / folder.relative_to(file.parent)
    inode = built.stat().st_ino
    assert check(copied / file.name) == built
    assert built.stat().st_ino == inode


@pytest.mark.parametrize("content", ["", "[]", "null", '{"states": 5}', "[" * 100_000, "\0"])
def test_a_damaged_memory_forgets(file, content):
    folder = check(file)
    memory = Path(os.environ["XDG_CACHE_HOME"], "bacl", "tables")
    for path in memory.glob("*.json"):
        path.write_text(content)
    assert check(file) == folder


def test_without_a_memory_tables_are_built_each_time(file, monkeypatch):
    monkeypatch.setattr(file_digests, "_own_folders", lambda: iter(()))
    assert check(file) == check(file)


def test_a_full_disk_costs_no_more_than_the_memory(file, monkeypatch, caplog):
    def full(path):
        raise UnwritableError(f"{path} cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(file_digests, "replacing", full)
        check(file)
    assert "annotation tables will be made anew each time" in caplog.text
    check(file)


def test_what_a_killed_builder_left_is_swept_and_a_living_ones_kept(file):
    place = check(file).parent
    left = unfinished(place / "table")
    left.mkdir()
    with unfinished_folder(place / "other") as living:
        check(file)
        assert living.exists()
        assert not left.exists()


def test_a_damaged_table_that_a_killed_process_moved_away_is_swept(file, monkeypatch):
    folder = check(file)
    (folder / "boxes.npy").write_bytes(b"damaged")
    with monkeypatch.context() as killed:
        killed.setattr(table_cache.shutil, "rmtree", lambda *_, **__: None)
        assert check(file) == folder
    assert len(list(folder.parent.iterdir())) == 2
    check(file)
    assert list(folder.parent.iterdir()) == [folder]
