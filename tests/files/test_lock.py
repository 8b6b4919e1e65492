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


def test_who_is_refused_leaves_the_empty_folder_to_its_owner(tmp_path):
    folder = tmp_path / "a"
    with alone_in(folder):
        with pytest.raises(BusyFolderError), alone_in(folder, 0):
            raise AssertionError
        (folder / "x").touch()


def test_who_has_waited_for_a_folder_that_is_gone_has_another_one(tmp_path, monkeypatch):
    folder, tried = tmp_path / "a", lock.lock

    def removed_meanwhile(*arguments):
        monkeypatch.setattr(lock, "lock", tried)
        folder.rmdir()  # by its owner, at its end
        tried(*arguments)

    monkeypatch.setattr(lock, "lock", removed_meanwhile)
    with alone_in(folder), pytest.raises(BusyFolderError), alone_in(folder, 0):
        raise AssertionError
    assert not folder.exists()


def test_a_disk_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with alone_in(tmp_path / "a"), alone_in(tmp_path / "a"):
        (tmp_path / "a/x").touch()
    assert (tmp_path / "a/x").exists()
