"""Multiruns as commands: a process for each job, one pass, interruptions, failures."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
ALPHAS = "head.loss.alpha=0.2,0.7"


def start(arguments: list[str], folder: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "run.py", *arguments, f"hydra.sweep.dir={folder}", "report.images=1"]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen, status: int = 0) -> str:
    output, _ = process.communicate()
    assert process.returncode == status, output
    return output


def runs(folder: Path) -> dict[str, Path]:
    """Run folders by the job's overrides, as the summary names them."""
    with (folder / "sweep.csv").open(newline="") as file:
        return {row["job"]: Path(row["folder"]) for row in csv.DictReader(file)}


def heads(run: Path) -> dict:
    return torch.load(run / "classifier/final.ckpt", weights_only=True)


def same(first: dict, second: dict) -> bool:
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


@pytest.fixture(scope="module")
def tiny_multirun(tiny_overrides) -> list[str]:
    return [*tiny_overrides, "-m", "checkpoint_every_minutes=0.0001"]


@pytest.fixture(scope="module")
def separate(tiny_multirun, tmp_path_factory) -> Path:
    """A multirun of two jobs, each in its own process."""
    folder = tmp_path_factory.mktemp("separate")
    output = finish(start([*tiny_multirun, ALPHAS], folder))
    assert output.count("started, log in") == 2
    return folder


def test_a_multirun_is_a_process_for_each_job_and_is_not_run_twice(separate, tiny_multirun):
    finished = {name: (run / "DONE").stat().st_mtime_ns for name, run in runs(separate).items()}
    assert set(finished) == {"head.loss.alpha=0.2", "head.loss.alpha=0.7"}
    assert all((run / "job.log").stat().st_size for run in runs(separate).values())
    output = finish(start([*tiny_multirun, ALPHAS], separate))
    assert output.count("done before") == 2
    assert "started" not in output
    again = {name: (run / "DONE").stat().st_mtime_ns for name, run in runs(separate).items()}
    assert again == finished


def test_one_pass_interrupted_goes_on_and_ends_like_separate_runs(
    separate, tiny_multirun, tmp_path
):
    command = [*tiny_multirun, ALPHAS, "hydra/launcher=one_pass"]
    process = start(command, tmp_path)
    while not list(tmp_path.glob("one_pass/*/classifier/last.ckpt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert "stopped" in finish(process, 128 + signal.SIGTERM)
    assert not list(tmp_path.glob("*/seed_0/DONE"))
    assert not list(tmp_path.glob("*/seed_0/FAILED"))
    output = finish(start(command, tmp_path))
    assert "group 1: 2 jobs, 3 different heads" in output
    assert len(list(tmp_path.glob("one_pass/*"))) == 1
    for name, run in runs(tmp_path).items():
        assert same(heads(run), heads(runs(separate)[name]))
    output = finish(start(command, tmp_path))
    assert output.count("done before") == 2


def test_over_two_processes_one_pass_ends_like_separate_runs(tiny_multirun, tmp_path):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    command = [*tiny_multirun, *two, ALPHAS, "datamodule.val_batch_size=1"]
    finish(start(command, tmp_path / "separate"))
    finish(start([*command, "hydra/launcher=one_pass"], tmp_path / "together"))
    for name, run in runs(tmp_path / "together").items():
        assert same(heads(run), heads(runs(tmp_path / "separate")[name]))


def test_a_job_that_fails_leaves_the_others_and_is_tried_again(tiny_multirun, tmp_path):
    # The second job asks for a learning rate that lets every loss overflow.
    rates = "stages.representation.schedule.learning_rate=0.02,1000.0"
    output = finish(start([*tiny_multirun, rates], tmp_path), 1)
    assert "failed" in output
    (good, bad) = runs(tmp_path).values()
    assert (good / "DONE").exists()
    assert "diverged" in (bad / "FAILED").read_text() or "finite" in (bad / "FAILED").read_text()
    output = finish(start([*tiny_multirun, rates], tmp_path), 1)
    assert output.count("done before") == 1


def test_what_cannot_work_is_refused_before_anything_runs(tiny_multirun, tmp_path):
    output = finish(start([*tiny_multirun, "+report.imgs=1,2"], tmp_path), 1)
    assert "report.imgs: no such option; did you mean images?" in output
    assert not list(tmp_path.glob("*/seed_0/config.yaml"))
    command = [*tiny_multirun, "head.loss.alpha=0.2", "stage=representation"]
    finish(start(command, tmp_path))
    (run,) = runs(tmp_path).values()
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("beta: 0.9", "beta: 0.5"))
    output = finish(start(command, tmp_path), 1)
    assert "hold runs of other configurations" in output
    assert "beta: 0.5 -> 0.9" in output
    output = finish(start([*tiny_multirun, "logger=csv,tensorboard"], tmp_path), 1)
    assert "would share one" in output


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_other_launchers_leave_the_same_runs(launcher, separate, tiny_multirun, tmp_path):
    package = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}
    pytest.importorskip(
        f"hydra_plugins.{package[launcher]}", reason="pip install 'bacl[launchers]'"
    )
    finish(start([*tiny_multirun, ALPHAS, f"hydra/launcher={launcher}"], tmp_path))
    folders = {path.parent.parent.name: path.parent for path in tmp_path.glob("*/seed_0/DONE")}
    for run in runs(separate).values():
        assert same(heads(folders[run.parent.name]), heads(run))
