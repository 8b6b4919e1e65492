"""job=report over folders of runs."""

from bacl.jobs.report import ablation, draw
from bacl.reporting.ablation import Ablation, Row
from bacl.runs.folder import write_text
from bacl.runs.outcome import write_failed


def test_rows_find_the_folders_of_their_runs(tmp_path, mark_done):
    mark_done("head.loss.alpha-0", 0, {"bacl": 0.25, "baseline": 0.1})
    mark_done("head.loss.alpha-0", 3, {"bacl": 0.5, "baseline": 0.1})
    write_failed(tmp_path / "head.loss.alpha-0.7/seed_0", "the disk is full")
    (tmp_path / "head.loss.alpha-0.7/seed_1").mkdir()
    write_text(tmp_path / "head.loss.alpha-0.7/seed_1/config.yaml", "")
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


def test_runs_in_folders_of_earlier_versions_are_found(tmp_path, mark_done):
    mark_done("seed", 0, {"bacl": 0.75}, "head.loss.beta=1", "head.loss.alpha=0.5")
    for name in ("head.loss.alpha=0.5,head.loss.beta=1", "head.loss.alpha=0.5,head.loss.beta=2"):
        recorded = [*reversed(name.split(",")), "seed=0", "+experiment=bacl_demo"]
        mark_done(name, 0, {"bacl": 0.25 if name.endswith("1") else 0.5}, *recorded)
    rows = [{"name": str(n), "set": [f"head.loss.beta={n}"], "paper": None} for n in (1, 2, 3)]
    common = ["+experiment=bacl_demo", "head.loss.alpha=0.5"]
    table = ablation("beta", {"title": "β", "rows": rows}, tmp_path, common, "classifier")
    assert [row.runs for row in table.rows] == [{0: {"AP": 0.25}}, {0: {"AP": 0.5}}, {}]
    mark_done("head.loss.alpha-0.5__head.loss.beta-1", 0, {"bacl": 0.125})
    table = ablation("beta", {"title": "β", "rows": rows[:1]}, tmp_path, common, "classifier")
    assert table.rows[0].runs == {0: {"AP": 0.125}}


def test_a_picture_is_drawn_where_there_is_something_to_compare(tmp_path):
    rows = [Row("a", {0: {"AP": 0.5}}), Row("b", {}, {-1: "not run"})]
    assert draw(tmp_path, [Ablation("runs", "Runs", rows)]) == []
    assert not list(tmp_path.iterdir())
    rows[1] = Row("b", {0: {"AP": 0.4, "segm/AP": 0.2}})
    assert draw(tmp_path, [Ablation("runs", "Runs", rows)]) == [tmp_path / "runs.png"]


def test_a_picture_that_fails_leaves_the_others(tmp_path, caplog):
    good = [Row("a", {0: {"AP": 0.5}}), Row("b", {0: {"AP": 0.4}})]
    bad = [Row("a", {0: {"AP": "no number"}}), Row("b", {0: {"AP": 0.4}})]
    tables = [Ablation("bad", "Bad", bad), Ablation("good", "Good", good)]
    assert draw(tmp_path, tables) == [tmp_path / "good.png"]
    [warning] = caplog.records
    assert "not drawn: bad.png (" in warning.getMessage()
