"""Files of a run that are damaged, in place of folders, or folders: one line, or the same results.

No file runs code, and no interpolation in one is resolved.
"""

import os
import pickle
import random
import shutil
from pathlib import Path

import pytest

from bacl.jobs import fit
from bacl.messages.errors import UserError

pytestmark = pytest.mark.slow


class Touch:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch executed",)


DAMAGE = {
    "empty": b"",
    "garbage": random.Random(0).randbytes(300),
    "zeros": b"\0" * 500,
    "null": b"null\n",
    "list": b"[]\n",
    "object": b"{}\n",
    "number": b"5\n",
    "text": b'"x"\n',
    "nested": b"[" * 100_000,
    "rows": b"step,epoch\n1\n2,3,4,5\n",
    "columns": b"a,b\n1,2\n",
    "tag": b"!!python/object/apply:os.system ['touch executed']\n",
    "interpolation": b"a: ${oc.env:HOME}\nb: ${nothing}\n",
    "pickle": pickle.dumps(Touch()),
}
SPECIAL = ("folder", "loop")
"""What lies there instead of a file."""
ALL = ("DONE", "config.yaml", "environment.json", "classifier/final.ckpt", "classifier/metrics.csv")
FINISHED = [
    *[(file, kind) for file in ALL for kind in (*DAMAGE, *SPECIAL)],
    *[("FAILED", kind) for kind in ("empty", "garbage", "list", *SPECIAL)],
    *[("representation/final.ckpt", kind) for kind in ("empty", "garbage", "pickle", *SPECIAL)],
    *[("representation/last.ckpt", kind) for kind in ("garbage", *SPECIAL)],
    *[("classifier/last.ckpt", kind) for kind in ("garbage", *SPECIAL)],
    *[("classifier/heads/bacl.npz", kind) for kind in ("empty", "garbage", "pickle", *SPECIAL)],
    *[("classifier/hparams.yaml", kind) for kind in ("garbage", "tag", *SPECIAL)],
    *[("classifier/results.json", kind) for kind in ("garbage", *SPECIAL)],
    *[("classifier/per_category.csv", kind) for kind in ("garbage", *SPECIAL)],
    *[("classifier/results.md", kind) for kind in ("garbage", *SPECIAL)],
    *[(folder, "file") for folder in ("classifier", "representation", "classifier/heads", ".")],
]
INTERRUPTED = [
    *[("last.ckpt", kind) for kind in ("empty", "garbage", "zeros", "pickle", *SPECIAL)],
    *[("metrics.csv", kind) for kind in ("garbage", "zeros", "rows", "columns", *SPECIAL)],
    *[("heads/bacl.npz", kind) for kind in ("empty", "garbage", "pickle", *SPECIAL)],
]


def damage(path: Path, kind: str) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        path.write_bytes(DAMAGE.get(kind, b"a file"))


def refusal(config, run: Path) -> str | None:
    try:
        fit.run(config, run)
    except UserError as error:
        return str(error)
    return None


def check(config, run: Path, expected: Path, capsys) -> None:
    """The run ends with one line or with the results that it had; nothing was executed."""
    line = refusal(config, run)
    if line is None:
        assert (run / "classifier/results.json").read_bytes() == expected.read_bytes()
    else:
        assert "\n" not in line
        assert str(run) in line
    assert not Path("executed").exists()
    assert os.environ["HOME"] not in capsys.readouterr().out


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A copy of a finished run."""
    monkeypatch.setenv("HOME", "of-this-user-alone")
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize(("file", "kind"), FINISHED)
def test_a_damaged_file_of_a_finished_run(tiny, finished, run, capsys, file, kind):
    damage(run / file, kind)
    check(tiny(), run, finished / "classifier/results.json", capsys)


@pytest.mark.parametrize(("file", "kind"), INTERRUPTED)
def test_a_damaged_file_of_an_interrupted_stage(tiny, finished, run, capsys, file, kind):
    (run / "DONE").unlink()
    shutil.rmtree(run / "classifier")
    (run / "classifier/heads").mkdir(parents=True)
    damage(run / "classifier" / file, kind)
    check(tiny(), run, finished / "classifier/results.json", capsys)
