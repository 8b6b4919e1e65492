"""job=report over folders of runs."""

import pytest
from omegaconf import OmegaConf

from bacl.errors import UserError
from bacl.jobs.outcome import write_done, write_failed
from bacl.jobs.report import ablation, every_run, results
from bacl.jobs.run_folder import write_text


def finish(runs, setting: str, seed: int, ap: float, overrides=()):
    folder = runs / setting / f"seed_{seed}"
    write_text(folder / "config.yaml", "")
    write_done(folder, "classifier", {"bacl": {"AP": ap}, "baseline": {"AP": 0.1}}, 1.0)
    write_text(
        folder / ".hydra/overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(overrides)))
    )


def test_rows_find_the_folders_of_their_runs(tmp_path):
    finish(tmp_path, "head.loss.alpha=0", 0, 0.25)
    finish(tmp_path, "head.loss.alpha=0", 3, 0.5)
    write_failed(tmp_path / "head.loss.alpha=0.7/seed_0", "the disk is full")
    (tmp_path / "head.loss.alpha=0.7/seed_1").mkdir()
    write_text(tmp_path / "head.loss.alpha=0.7/seed_1/config.yaml", "")
    rows = [
        {"name": str(alpha), "set": [f"head.loss.alpha={alpha}"], "paper": None}
        for alpha in (0, 0.7, 1.0)
    ]
    table = ablation(
        "alpha", {"title": "α", "rows": rows}, tmp_path, ["+experiment=bacl_demo"], "classifier"
    )
    first, second, third = table.rows
    assert {seed: run["AP"] for seed, run in first.runs.items()} == {0: 0.25, 3: 0.5}
    assert second.problems == {0: "seed 0 failed: the disk is full", 1: "seed 1 unfinished"}
    assert third.problems == {-1: "not run"}


def test_results_are_those_of_the_first_head(tmp_path):
    finish(tmp_path, "default", 0, 0.25)
    assert results(tmp_path / "default") == ({0: {"AP": 0.25}}, {})


def test_every_run_of_a_name_is_a_table(tmp_path):
    finish(tmp_path, "a", 0, 0.25, ["+experiment=x", "seed=0", "head.loss.alpha=0.5"])
    finish(tmp_path, "b", 0, 0.5, ["+experiment=x", "seed=0", "head.loss.alpha=0.7"])
    table = every_run(tmp_path, "demo")
    assert table.axis == "head.loss.alpha"
    assert [row.name for row in table.rows] == ["0.5", "0.7"]
    finish(tmp_path, "default", 0, 0.5, ["+experiment=x", "seed=0"])
    table = every_run(tmp_path, "demo")
    assert table.axis is None
    assert [row.name for row in table.rows] == [
        "head.loss.alpha=0.5",
        "head.loss.alpha=0.7",
        "default",
    ]
    assert table.default.name == "default"


def test_nothing_to_report_is_told(tmp_path):
    with pytest.raises(UserError, match="no run to report"):
        every_run(tmp_path, "demo")
