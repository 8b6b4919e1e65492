"""A head trained among others is, to the bit, the head that a run of its own trains."""

import csv
import gzip
import json
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from bacl.assembly import trainer as trainer_module
from bacl.jobs import fit, fit_group
from bacl.losses import FCBL
from bacl.one_pass.plan import PlannedJob, write_plan
from bacl.runs.outcome import read_outcome, write_done

NO_FHM = "fhm@head.hallucination=none"
JOBS = {
    "alpha_0.7": ["head.loss.alpha=0.7"],
    "alpha_0.85": ["head.loss.alpha=0.85"],
    "alpha_1.0": ["head.loss.alpha=1.0"],
    "indicator": ["indicator@head.loss.indicator=true_positive_rate"],
    "fhm": [f"head.hallucination.{x}" for x in ("categories=3", "samples=5", "beta=0.5")],
    "no_fhm": [NO_FHM],
    "bce": ["loss@head.loss=bce_objectness", NO_FHM],
    "learning_rate": ["head.learning_rate=0.004", "head.weight_decay=0.01"],
    "same_as_alpha_0.85": ["head.loss.alpha=0.850"],
    "norcal": ["calibration=norcal"],
    "alpha_0.7_shift": ["head.loss.alpha=0.7", "calibration=shift"],
}
CHECKED = ("fhm", "learning_rate", "norcal")
"""Of which a run of its own is trained in the default tests."""


@pytest.fixture(scope="module")
def job_config(tiny, finished):
    """Composes a job: its classifier stage starts from the finished run's first stage."""
    start = finished / "representation/final.ckpt"
    common = ["stage=classifier", f"stages.classifier.init.detector={start}"]
    options = ["report.save_detections=true", "checkpoint_every_minutes=0.0001"]
    options.append("report.errors=false")  # of a dozen jobs
    return lambda *overrides: tiny(*common, *options, *overrides)


def test_what_any_of_the_waiting_jobs_wants_is_looked_at():
    def job(waiting=True, **report):
        few = {"images": 1, "save_detections": False, "label_errors": 0, "errors": False}
        config = OmegaConf.create({"report": {**few, "html": False, **report}})
        return PlannedJob(Path("a"), [], config, waiting)

    report = fit_group.wanted([job(waiting=False, images=9), job(images=2), job(html=True)])
    assert (report["images"], report["html"], report["errors"]) == (2, True, False)


@pytest.fixture(scope="module")
def alone(job_config, tmp_path_factory) -> Callable[[str], Path]:
    """Gives a job's run of its own."""
    folder = tmp_path_factory.mktemp("alone")

    @cache
    def trained(name: str) -> Path:
        fit.run(job_config(*JOBS[name]), folder / name)
        return folder / name

    return trained


def plan(job_config, folder: Path, waiting: tuple[str, ...] = tuple(JOBS)) -> Path:
    jobs = [
        PlannedJob(folder / name, overrides, job_config(*overrides), name in waiting)
        for name, overrides in JOBS.items()
    ]
    write_plan(folder / "group", jobs)
    return folder / "group"


@pytest.fixture(scope="module")
def together(job_config, tmp_path_factory) -> Path:
    """A folder with the same runs, trained in one pass."""
    folder = tmp_path_factory.mktemp("together")
    fit_group.run(job_config(), plan(job_config, folder))
    return folder


def state(run: Path) -> dict:
    return torch.load(run / "classifier/final.ckpt", weights_only=True)


def assert_equal(first, second) -> None:
    """Nested values are of one structure and equal to the bit."""
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    else:
        assert first == second


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "classifier/metrics.csv").open(newline="") as file:
        named = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [row for row in named if not any(key.startswith("speed/") for key in row)]


def detections(run: Path, head: str) -> list:
    with gzip.open(run / f"classifier/detections_{head}.json.gz", "rt") as file:
        return json.load(file)


def assert_same_run(first: Path, second: Path) -> None:
    assert_equal(state(first), state(second))
    assert list(state(first)["heads"]) == ["bacl", "baseline"]
    for head in ("bacl", "baseline"):
        assert detections(first, head) == detections(second, head)
        assert detections(first, head)
        with (
            np.load(first / f"classifier/heads/{head}.npz") as mine,
            np.load(second / f"classifier/heads/{head}.npz") as theirs,
        ):
            assert set(mine) == set(theirs)
            assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    for name in ("config.yaml", "classifier/results.json", "classifier/per_category.csv"):
        assert (first / name).read_text() == (second / name).read_text()


@pytest.mark.parametrize(
    "name",
    [name if name in CHECKED else pytest.param(name, marks=pytest.mark.slow) for name in JOBS],
)
def test_a_job_of_one_pass_is_bit_for_bit_the_run_of_its_own(alone, together, name):
    assert_same_run(together / name, alone(name))
    assert rows(together / name) == rows(alone(name))
    assert {path.name for path in (together / name / "classifier").iterdir()} == {
        path.name for path in (alone(name) / "classifier").iterdir()
    }
    ends = read_outcome(together / name), read_outcome(alone(name))
    assert ends[0].status == ends[1].status == "done"
    assert ends[0].measures == ends[1].measures


def test_different_settings_end_with_different_weights(together):
    weights = [state(together / name)["heads"]["bacl"]["first.predictor.weight"] for name in JOBS]
    pairs = combinations(range(len(JOBS)), 2)
    same = [(i, j) for i, j in pairs if torch.equal(weights[i], weights[j])]
    # a margin enters the loss as the gradient of a tenth of the rows: even close α differ
    assert same == [(0, 10), (1, 8), (1, 9), (8, 9)]


def test_equal_heads_train_once(together, job_config):
    heads = torch.load(together / "group/classifier/final.ckpt")["heads"]
    # One for each job but the last three, whose α is another's; plain BCE is every job's baseline.
    assert len(heads) == 8


class Crash(Callback):
    """Ends the process, as far as a test can."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 5:
            raise KeyError("the power is out")


@pytest.mark.slow
def test_an_interrupted_pass_goes_on_and_ends_the_same(alone, job_config, tmp_path, monkeypatch):
    group, watchers = plan(job_config, tmp_path), trainer_module.callbacks
    monkeypatch.setattr(trainer_module, "callbacks", lambda *args: [*watchers(*args), Crash()])
    with pytest.raises(KeyError, match="the power is out"):
        fit_group.run(job_config(), group)
    assert (group / "classifier/last.ckpt").exists()
    monkeypatch.setattr(trainer_module, "callbacks", watchers)
    fit_group.run(job_config(), group)
    for name in CHECKED:
        assert_same_run(tmp_path / name, alone(name))


@pytest.mark.slow
def test_a_kill_between_two_jobs_leaves_the_finished_ones_alone(together, job_config, tmp_path):
    """The training is not repeated, and a job that is DONE is not written again."""
    group = together / "group"
    trained = (group / "classifier/final.ckpt").stat().st_mtime_ns
    (together / "fhm/DONE").unlink()
    others = {name: (together / name / "DONE").stat().st_mtime_ns for name in JOBS if name != "fhm"}
    curves = (together / "fhm/classifier/metrics.csv").read_text()
    fit_group.run(job_config(), plan(job_config, together, waiting=("fhm",)))
    assert (together / "fhm/classifier/metrics.csv").read_text() == curves
    assert read_outcome(together / "fhm").status == "done"
    assert (group / "classifier/final.ckpt").stat().st_mtime_ns == trained
    assert others == {name: (together / name / "DONE").stat().st_mtime_ns for name in others}


@pytest.mark.slow  # test_failing_heads.py has one that fails otherwise, tests/callbacks the loss
def test_a_head_that_diverges_leaves_the_others_as_they_would_be(
    alone, job_config, tmp_path, monkeypatch
):
    forward = FCBL.forward

    def diverging(self, *args, **kwargs):
        """Of the second step on."""
        overflow = torch.inf if self.alpha == 0.123 and self.indicator.counts.any() else 1
        return forward(self, *args, **kwargs) * overflow

    monkeypatch.setattr(FCBL, "forward", diverging)
    wild = ["head.loss.alpha=0.123"]
    bad = ["head.loss.alpha=-1"]  # never trains, and is no reason not to train the others
    jobs = {"wild": wild, "bad": bad} | {name: JOBS[name] for name in CHECKED[:2]}
    planned = [PlannedJob(tmp_path / n, texts, job_config(*texts)) for n, texts in jobs.items()]
    write_plan(tmp_path / "group", planned)
    for _ in range(2):  # again: the finished training tells the same
        fit_group.run(job_config(), tmp_path / "group")
        end = read_outcome(tmp_path / "wild")
        assert end.status == "failed"
        assert "bacl: its loss was no longer finite at step " in end.reason
        assert f"alone it goes on with: python run.py {wild[0]}" in end.reason
        assert "alpha=-1: expected a number of at least 0" in read_outcome(tmp_path / "bad").reason
    for name in CHECKED[:2]:
        assert_same_run(tmp_path / name, alone(name))


@pytest.mark.slow
def test_a_calibration_that_cannot_be_fails_alone(alone, job_config, tmp_path):
    jobs = {"indicator": JOBS["indicator"], "gathers": ["calibration=logn"]}
    planned = [PlannedJob(tmp_path / n, texts, job_config(*texts)) for n, texts in jobs.items()]
    write_plan(tmp_path / "group", planned)
    fit_group.run(job_config(), tmp_path / "group")
    assert "LogN has gathered no statistics" in read_outcome(tmp_path / "gathers").reason
    assert_same_run(tmp_path / "indicator", alone("indicator"))


def test_an_outcome_is_what_the_folder_tells(tmp_path):
    assert read_outcome(tmp_path).status == "not run"
    results = {"bacl": {"AP": 0.5}, "baseline": {"AP": 0.25}}
    write_done(tmp_path, "classifier", results, 12.34)
    end = read_outcome(tmp_path)
    assert (end.status, end.stage, end.head) == ("done", "classifier", "bacl")
    assert (end.measures, end.seconds) == ({"AP": 0.5}, 12.3)
