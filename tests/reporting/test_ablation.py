"""Tables of ablations from hand-made runs."""

import csv
import math

import pytest

from bacl.evaluation.measures import Measure
from bacl.reporting.ablation import Ablation, Row
from bacl.reporting.ablation_text import grid, markdown, write_csv


def test_means_deviations_and_changes(table):
    first, default, missing = table.rows
    assert first.mean("AP") == pytest.approx(26)
    assert first.deviation("AP") == pytest.approx(math.sqrt(2))
    assert table.change(first, "AP") == pytest.approx(-4)
    assert table.published_change(first, "AP") == pytest.approx(-0.6)
    assert math.isnan(table.change(default, "AP"))
    assert math.isnan(default.deviation("AP"))
    assert math.isnan(missing.mean("AP"))
    assert math.isnan(first.mean("APr"))  # -1: no rare category to average


def test_a_grid_has_numbers_for_parallel_coordinates(table):
    titles, lines = grid(table)
    assert titles[:4] == ["α", "default", "runs", "AP"]
    assert [line[:4] for line in lines] == [
        [0.0, False, 2, pytest.approx(26)], [0.85, True, 1, 30], [1.0, False, 0, None]
    ]  # fmt: skip
    assert lines[0][titles.index("AP ±")] == pytest.approx(math.sqrt(2), abs=1e-3)
    assert lines[1][titles.index("AP ±")] is None


def test_a_grid_of_rows_that_are_no_numbers_names_them():
    titles, lines = grid(Ablation("runs", "Runs", [Row("mine", {0: {"AP": 0.5}})]))
    assert (titles[0], lines[0][0]) == ("setting", "mine")


def test_markdown_says_what_is_missing(table):
    text = markdown(table).splitlines()
    assert text[0] == "### Tab. IV: α"
    titles = "AP | AP paper | AP_r | AP_r paper | AP_c | AP_c paper | AP_f | AP_f paper"
    assert text[2] == f"| setting | runs | {titles} |"
    assert text[4] == (
        "| 0 | 2 | 26.0 ± 1.4 (-4.0) | 27.2 (-0.6) | – | 20.7 (+0.6) | 25.0 ± 0.0 (+0.0) "
        "| 26.9 (-1.3) | 50.0 ± 0.0 (+0.0) | 30.2 (-0.1) |"
    )
    assert text[5].startswith("| **0.85** | 1 | 30.0 | 27.8 |")
    assert text[6].startswith("| 1.0 | not run | – | 27.5 (-0.3) |")
    assert text[-1] == "A note."


def test_without_published_rows_there_are_no_columns_for_them(run):
    table = Ablation("runs", "Runs", [Row("a", {0: run(0.5)})])
    assert markdown(table).splitlines()[2] == "| setting | runs | AP | AP_r | AP_c | AP_f |"


def test_columns_are_what_the_runs_have():
    measures = {"AP": 0.3, "AP50": 0.5, "APs": 0.1, "AP1": 0.1, "AP2": -1.0, "AR@100": 0.2}
    measures |= {"segm/AP": 0.2, "segm/APm": 0.1, "segm/AP1": 0.05, "segm/AP2": 0.1}
    rows = [
        Row("a", {0: measures}, paper=[27.2, 20.7, 26.9, 30.2]),
        Row("b", {0: {"AP": 0.4, "APr": 0.2}}, default=True),
    ]
    lines = markdown(Ablation("runs", "Runs", rows)).splitlines()
    titles = ["AP", "AP paper", "AP_1", "AP_2", "AP_r", "AP_r paper"]
    titles += ["AP masks", "AP_1 masks", "AP_2 masks"]
    assert lines[2] == f"| setting | runs | {' | '.join(titles)} |"
    assert lines[4] == "| a | 1 | 30.0 (-10.0) | 27.2 | 10.0 | – | – | 20.7 | 20.0 | 5.0 | 10.0 |"
    assert lines[5] == "| **b** | 1 | 40.0 | – | – | – | 20.0 | – | – | – | – |"


def test_the_right_label_has_columns_where_runs_have_it(run):
    declared = [
        Measure("AP", "AP", "main"),
        Measure("AP@20", "AP@20", "all"),
        Measure("right_label", "right label", "main"),
        Measure("right_label_r", "right label_r", "main", "r"),
    ]
    labels = {"AP@20": 0.2, "right_label": 0.4, "right_label_r": 0.1}
    rows = [
        Row("a", {0: run(0.5) | labels}, declared=declared, default=True),
        Row("b", {0: run(0.3)}, declared=declared[:1]),  # of an earlier version
    ]
    lines = markdown(Ablation("runs", "Runs", rows)).splitlines()
    assert lines[2] == "| setting | runs | AP | right label | right label_r |"
    assert lines[5] == "| b | 1 | 30.0 (-20.0) | – | – |"


def test_before_there_are_runs_the_columns_are_the_papers(table):
    text = markdown(Ablation("alpha", "α", [table.rows[2]])).splitlines()
    assert text[2].startswith("| setting | runs | AP | AP paper | AP_r | AP_r paper |")
    assert text[4] == "| 1.0 | not run | – | 27.5 | – | 21.3 | – | 27.4 | – | 30.2 |"


def test_csv_has_one_line_per_row_and_measure(table, tmp_path):
    write_csv(tmp_path / "alpha.csv", table)
    with (tmp_path / "alpha.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12
    assert lines[0] == {
        "table": "alpha", "row": "0", "default": "False", "measure": "AP", "runs": "2",
        "mean": "26.00", "deviation": "1.41", "change": "-4.00", "paper": "27.20",
        "paper_change": "-0.60", "problem": "",
    }  # fmt: skip
    assert lines[8]["problem"] == "not run"
