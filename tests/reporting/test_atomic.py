import pytest

from bacl.reporting.atomic import replacing


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
