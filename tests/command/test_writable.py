import errno
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bacl.command import writable
from bacl.files.atomic import UnwritableError

REPOSITORY = Path(__file__).parents[2]


def test_a_folder_that_takes_files_is_made_and_left_empty(tmp_path):
    writable.probe(tmp_path / "runs/name")
    assert not list((tmp_path / "runs/name").iterdir())


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnwritableError, match=r"^runs cannot be written: No space left"):
        writable.probe(Path("runs"))  # there or not, with an absolute or a relative name
    with pytest.raises(UnwritableError, match="cannot be written: No space left"):
        writable.probe(tmp_path)


def test_run_and_multirun_try_their_own_folders(tmp_path, capsys):
    (tmp_path / "file").touch()
    folders = {"run": tmp_path / "run", "sweep": tmp_path / "file/sweep"}
    config = OmegaConf.create({"hydra": {k: {"dir": str(v)} for k, v in folders.items()}})
    writable.WritableFolder().on_run_start(config)
    assert folders["run"].is_dir()
    with pytest.raises(SystemExit):
        writable.WritableFolder().on_multirun_start(config)
    assert f"{folders['sweep']} cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [pytest.param([], marks=pytest.mark.slow), ["-m", "seed=0,1"]])
def test_a_command_ends_with_one_line(tmp_path, kind):
    (tmp_path / "runs").touch()
    done = subprocess.run(
        [sys.executable, REPOSITORY / "run.py", "+experiment=bacl_demo", *kind],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "runs/bacl_demo" in line
    assert "cannot be written: Not a directory; move the file" in line
