"""Folders that one process at a time writes into."""

import pytest

from bacl.files import lock
from bacl.files.lock import BusyFolderError, alone_in


def test_a_folder_is_kept_to_one_and_let_go_of(tmp_path):
    folder = tmp_path / "a/b"
    with alone_in(folder):
        (folder / "x").touch()
        with pytest.raises(BusyFolderError, match="at work in this folder"), alone_in(folder, 0):
            raise AssertionError
    with alone_in(folder, 0):
        assert (folder / "x").exists()


def test_a_folder_that_stays_empty_is_removed(tmp_path):
    with pytest.raises(KeyError), alone_in(tmp_path / "a"):
        raise KeyError
    assert not (tmp_path / "a").exists()


def test_a_disk_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with alone_in(tmp_path / "a"), alone_in(tmp_path / "a"):
        (tmp_path / "a/x").touch()
    assert (tmp_path / "a/x").exists()
