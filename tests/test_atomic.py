from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from bacl.atomic import replacing


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
