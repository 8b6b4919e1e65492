import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple

import pytest

from bacl.files.disk_space import NotEnoughSpaceError
from bacl.files.shared_room import LimitError, room_in, size_of

OPTION = "cache.gigabytes"
KILLED = """
import os, signal, sys
from pathlib import Path
from bacl.files.shared_room import room_in
with room_in(Path(sys.argv[1]), "dead", 900, 1000, "cache.gigabytes"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def filled(root, name, size, days_ago=0):
    """A folder that was used so long ago."""
    with room_in(root, name, 10 * size, 10**9, OPTION) as folder:
        (folder / "ab").mkdir(exist_ok=True)
        (folder / "ab" / "file").write_bytes(bytes(size))
    used = time.time() - 86_400 * days_ago
    os.utime(folder / "bytes_at_most", (used, used))
    return folder


def test_a_folder_stays_from_use_to_use(tmp_path):
    folder = filled(tmp_path / "new" / "root", "one", 500)
    with room_in(tmp_path / "new" / "root", "one", 600, 10**9, OPTION) as again:
        assert again == folder
        assert size_of(again) >= 500


def test_what_was_not_used_for_longest_makes_room_and_no_more_than_it_takes(tmp_path):
    oldest = filled(tmp_path, "c", 400, days_ago=3)
    older = filled(tmp_path, "a", 400, days_ago=2)
    last = filled(tmp_path, "b", 400, days_ago=1)
    with room_in(tmp_path, "new", 500, 1400, OPTION):  # 400 + 400 + 500, and notes
        assert not oldest.exists()
        assert older.exists()
        assert last.exists()


def test_what_others_keep_there_is_neither_counted_nor_removed(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(bytes(5000))
    (tmp_path / "letter.txt").write_bytes(bytes(5000))
    own = filled(tmp_path, "own", 400)
    with room_in(tmp_path, "new", 1000, 1000, OPTION):
        assert not own.exists()
    assert (tmp_path / "photos" / "mine.jpg").stat().st_size == 5000
    assert (tmp_path / "letter.txt").exists()


def test_folders_in_use_are_kept_and_count_with_all_that_may_come(tmp_path):
    with room_in(tmp_path, "used", 900, 1000, OPTION) as used:
        with (
            pytest.raises(LimitError, match=r"0\.0 MB may come .* cache\.gigabytes=1e-06 allows"),
            room_in(tmp_path, "new", 200, 1000, OPTION),
        ):
            pass
        assert used.exists()
        assert not (tmp_path / "new").exists()
    with room_in(tmp_path, "new", 200, 1000, OPTION):  # 900 were not written: nothing has to go
        assert used.exists()


def test_one_folder_serves_several_at_once(tmp_path):
    with (
        room_in(tmp_path, "one", 900, 1000, OPTION) as first,
        room_in(tmp_path, "one", 800, 1000, OPTION) as second,
    ):
        assert first == second
        assert (first / "bytes_at_most").read_text() == "900"  # the other may still fill it


def test_a_killed_process_uses_nothing_any_more(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode < 0
    with room_in(tmp_path, "new", 200, 1000, OPTION):
        pass
    with room_in(tmp_path, "large", 1000, 1000, OPTION):  # no byte is left
        assert not (tmp_path / "dead").exists()
        assert not (tmp_path / "new").exists()


def test_two_that_come_at_once_do_not_both_get_the_same_room(tmp_path):
    got, refused, ready = [], [], threading.Barrier(2)

    def come(name):
        ready.wait()
        try:
            with room_in(tmp_path, name, 600, 1000, OPTION):
                got.append(name)
                time.sleep(0.3)
        except LimitError:
            refused.append(name)

    threads = [threading.Thread(target=come, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 1)


def test_a_disk_with_less_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")(10**12, 10**12 - 5, 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with (
        pytest.raises(NotEnoughSpaceError, match=r"needs 3\.0 GB .*cache\.folder"),
        room_in(tmp_path, "new", 3 * 10**9, 10**10, OPTION),
    ):
        pass
