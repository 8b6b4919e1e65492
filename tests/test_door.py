"""The package as a Python program sees it, and as a wheel carries it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bacl

REPOSITORY = Path(__file__).parents[1]
PROGRAM = """
import sys
import bacl
model = bacl.load(sys.argv[1], head="baseline")
detections = model(sys.argv[2], threshold=0.001)
assert len(detections) == len(detections.names) > 0, detections
measures = bacl.evaluate(model, sys.argv[3], sys.argv[4])
print(bacl.__file__, measures["bacl"]["AP"])
"""


def test_importing_the_package_imports_nothing_large():
    code = "import sys, bacl; print([n for n in ('torch', 'numpy', 'hydra') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_every_name_is_there():
    assert set(bacl.__all__) == set(bacl._HOMES) <= set(dir(bacl))
    for name in bacl.__all__:
        assert getattr(bacl, name).__name__ == name
        assert getattr(bacl, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        bacl.lod  # noqa: B018


@pytest.mark.slow
def test_a_wheel_and_a_checkpoint_are_enough(finished, tiny, tmp_path):
    """Neither conf/ nor the clone: another folder, with what the wheel carries."""
    source = tmp_path / "source"  # a build leaves its folder in the source
    shutil.copytree(REPOSITORY / "bacl", source / "bacl")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    build = [sys.executable, "-m", "pip", "wheel", str(source), "-w", str(tmp_path), "-q"]
    subprocess.run([*build, "--no-deps", "--no-build-isolation"], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert "bacl/py.typed" in wheel.namelist()
        wheel.extractall(tmp_path / "installed")
    data, here = tiny().data.val, tmp_path / "elsewhere"
    here.mkdir()
    picture = next(Path(data.images).glob("*.jpg"))
    arguments = [finished / "classifier/final.ckpt", picture, data.annotations, data.images]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        cwd=here, env=environment, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "installed"))
