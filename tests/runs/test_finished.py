"""Rows of tables from folders of runs."""

import pytest

from bacl.messages.errors import UserError
from bacl.runs.finished import every_run, first_heads
from bacl.runs.folder import write_text
from bacl.runs.outcome import write_done, write_failed


def rows_of(table):
    """Each row's AP by name, or what is wrong with its runs."""
    return {row.name: row.mean("AP") if row.runs else row.problems for row in table.rows}


def test_results_are_those_of_the_first_head(tmp_path, mark_done):
    mark_done("default", 0, {"bacl": 0.25, "baseline": 0.1})
    row = first_heads(tmp_path / "default", name="x")
    assert (row.runs, row.problems) == ({0: {"AP": 0.25}}, {})


def test_every_run_of_a_name_is_a_table(tmp_path, mark_done):
    mark_done("a", 0, {"bacl": 0.25}, "+experiment=x", "seed=0", "head.loss.alpha=0.5")
    mark_done("b", 0, {"bacl": 0.5}, "+experiment=x", "seed=0", "head.loss.alpha=0.7")
    (table,) = every_run(tmp_path, "demo")
    assert table.axis == "head.loss.alpha"
    assert rows_of(table) == {"0.5": 25, "0.7": 50}
    assert table.default is None
    mark_done("default", 0, {"bacl": 0.5}, "+experiment=x", "seed=0")
    (table,) = every_run(tmp_path, "demo")
    assert table.axis is None
    assert list(rows_of(table)) == ["head.loss.alpha=0.5", "head.loss.alpha=0.7", "default"]
    assert table.default.name == "default"


def test_every_head_of_a_run_is_a_row_beside_the_first(tmp_path, mark_done):
    mark_done("default", 0, {"bacl": 0.25, "baseline": 0.125}, "+experiment=x", "seed=0")
    (table,) = every_run(tmp_path, "demo")
    assert rows_of(table) == {"bacl": 25, "baseline": 12.5}
    assert table.default.name == "bacl"
    assert table.change(table.rows[1], "AP") == -12.5
    (table,) = every_run(tmp_path, "demo", reference="baseline")
    assert table.default.name == "baseline"
    assert table.change(table.rows[1], "AP") == 12.5


def test_heads_of_several_settings_and_settings_without_a_result(tmp_path, mark_done):
    mark_done("default", 0, {"bacl": 0.25, "baseline": 0.125}, "seed=0")
    mark_done("default", 1, {"bacl": 0.75, "baseline": 0.375}, "seed=1")
    mark_done("eqlv2", 0, {"eqlv2": 0.5}, "seed=0", "head=eqlv2")
    write_text(tmp_path / "seesaw/seed_0/config.yaml", "")
    write_text(tmp_path / "seesaw/seed_0/.hydra/overrides.yaml", "- head=seesaw")
    write_failed(tmp_path / "bce/seed_0", "diverged")  # as a job of one pass that never was saved
    write_text(tmp_path / "bce/seed_0/.hydra/overrides.yaml", "- head=bce")
    (table,) = every_run(tmp_path, "demo")
    assert rows_of(table) == {
        "default · bacl": 50,
        "default · baseline": 25,
        "head=eqlv2 · eqlv2": 50,
        "head=seesaw": {0: "seed 0 unfinished"},
        "head=bce": {0: "seed 0 failed: diverged"},
    }
    assert table.default.name == "default · bacl"


def test_several_heads_along_an_axis_are_tables_of_their_own(tmp_path, mark_done):
    for alpha, ap in (("0", 0.25), ("1", 0.5)):
        heads = {"bacl": ap, "baseline": 0.125}
        mark_done(f"alpha={alpha}", 0, heads, "seed=0", f"head.loss.alpha={alpha}")
    write_text(tmp_path / "alpha=2/seed_0/config.yaml", "")
    write_text(tmp_path / "alpha=2/seed_0/.hydra/overrides.yaml", "- head.loss.alpha=2")
    tables = {table.key: table for table in every_run(tmp_path, "demo")}
    lost = {"2": {0: "seed 0 unfinished"}}
    assert rows_of(tables["runs_bacl"]) == {"0": 25, "1": 50} | lost
    assert rows_of(tables["runs_baseline"]) == {"0": 12.5, "1": 12.5} | lost
    assert {table.axis for table in tables.values()} == {"head.loss.alpha"}
    assert tables["runs_bacl"].title == "Runs of demo: bacl"


def test_settings_of_equal_overrides_are_rows_of_their_own(tmp_path, mark_done):
    mark_done("first", 0, {"bacl": 0.25}, "head.loss.alpha=0.5")
    mark_done("second", 0, {"bacl": 0.5}, "head.loss.alpha=0.5")
    (table,) = every_run(tmp_path, "demo")
    assert rows_of(table) == {"default (first)": 25, "default (second)": 50}
    assert table.default is None
    mark_done("third", 0, {"bacl": 0.75}, "head.loss.alpha=0.7")
    (table,) = every_run(tmp_path, "demo")
    assert rows_of(table) == {
        "head.loss.alpha=0.5 (first)": 25,
        "head.loss.alpha=0.5 (second)": 50,
        "head.loss.alpha=0.7": 75,
    }
    assert table.axis is None


def test_folders_that_are_no_seeds_are_passed_over(tmp_path, mark_done):
    mark_done("default", 0, {"bacl": 0.25})
    for name in ("seed_abc", "seed_", "seed_0.old"):
        write_text(tmp_path / "default" / name / "config.yaml", "")
    row = first_heads(tmp_path / "default", name="x")
    assert (row.runs, row.problems) == ({0: {"AP": 0.25}}, {})
    (table,) = every_run(tmp_path, "demo")
    assert len(table.rows) == 1


def test_nothing_to_report_is_told(tmp_path):
    with pytest.raises(UserError, match="no run to report"):
        every_run(tmp_path, "demo")


def test_results_of_a_part_are_no_results(tmp_path, mark_done):
    mark_done("default", 0, {"bacl": 0.25})
    write_done(tmp_path / "default/seed_1", "classifier", {"bacl": {"AP": 0.5}}, 1.0, part="4 of 6")
    row = first_heads(tmp_path / "default", name="x")
    assert row.runs == {0: {"AP": 0.25}}
    assert row.problems == {1: "seed 1 evaluated on 4 of 6"}
