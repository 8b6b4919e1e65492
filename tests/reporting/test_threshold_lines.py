"""Thresholds and reliabilities of a run: tables, files and figures."""

import csv
import json

import numpy as np
import pytest

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.reliability import reliabilities
from bacl.evaluation.thresholds.choosing import Chooser
from bacl.evaluation.thresholds.objectives import BestF1
from bacl.evaluation.thresholds.operating_points import OperatingPoints
from bacl.reporting.figures import draw_reliability, draw_thresholds
from bacl.reporting.figures.style import head_colour
from bacl.reporting.results import RunResults
from tests.evaluation.thresholds.scores import drawn
from tests.evaluations import evaluation, statistics

GROUPING = groups_by_frequency([*"rrrcccfff"])
NAMES = [*"abcdefgh", "=1+1"]


def found(seed: int, chosen: bool = True):
    own = drawn(seed)
    first = np.arange(30) < 15
    points = OperatingPoints.of(own, np.stack([first, ~first]), Chooser(BestF1(), GROUPING))
    return evaluation(
        {"AP": 0.5},
        GROUPING,
        operating_points=points if chosen else None,
        reliabilities=reliabilities(own, GROUPING) if chosen else None,
    )


@pytest.fixture
def results() -> RunResults:
    counts = statistics(NAMES, [*"rrrcccfff"], [1] * 9, [1] * 9)
    return RunResults({"one": found(0), "two": found(1)}, counts)


def test_a_line_for_each_head_and_choice_and_what_the_numbers_are(results):
    text = results.markdown()
    points = results.evaluations["one"].operating_points
    f1 = points.fine.of_groups(GROUPING).f1[0]
    (line,) = [each for each in text.splitlines() if each.startswith("| one | per category |")]
    assert line.startswith(f"| one | per category | {100 * f1:.1f} ± ")
    for choice in ("0.5 for all", "global", "per group"):
        assert f"| two | {choice} |" in text
    assert "for best F1; those in thresholds.csv are by all images" in text
    assert "| head | calibration error, all | rare | common | frequent |" in text
    assert "\n\n## Thresholds\n\n| head | thresholds |" in text
    assert "\n\n## Whether scores are probabilities\n\n| head |" in text


def test_the_files_have_every_category_and_every_choice(results, tmp_path):
    results.write(tmp_path, np.arange(101, 110))
    with (tmp_path / "thresholds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["head"] for row in rows] == ["one"] * 9 + ["two"] * 9
    points = results.evaluations["two"].operating_points
    last = rows[17]
    assert (last["id"], last["name"], last["group"]) == ("109", "'=1+1", "f")
    assert (last["of"], last["flag"], last["objects"]) == ("group", "too few objects", "0")
    assert float(last["threshold"]) == pytest.approx(points.thresholds.per_group[8], rel=1e-5)
    assert {row["flag"] for row in rows if row["of"] == "category"} == {""}
    told = json.loads((tmp_path / "thresholds.json").read_text(encoding="utf-8"))["two"]
    assert told["global"] == points.thresholds.of_all
    assert told["groups"].keys() == {"r", "c", "f"}
    assert told["cross_fitted"]["per category"]["f"]["objects"] >= 0
    believed = json.loads((tmp_path / "reliability.json").read_text(encoding="utf-8"))["one"]["all"]
    assert len(believed["scores"]) == len(believed["right"]) == len(believed["detections"])
    assert 0 < believed["calibration_error"] < 1


def test_without_thresholds_nothing_is_told_of_them(tmp_path):
    counts = statistics(NAMES, [*"rrrcccfff"], [1] * 9, [1] * 9)
    results = RunResults({"one": found(0, chosen=False)}, counts)
    assert "thresholds.csv" not in results.markdown()
    results.write(tmp_path, np.arange(9))
    assert not list(tmp_path.glob("thresholds.*"))


def test_figures_draw_every_head(results, tmp_path, pixels):
    points = {name: each.operating_points for name, each in results.evaluations.items()}
    path = draw_thresholds(
        tmp_path / "thresholds.png", points, [0, 1, 2, 3, 4, 5, 60, 7, 8], "images"
    )
    assert all(pixels(path, head_colour(index)) > 500 for index in range(2))
    believed = {name: each.reliabilities for name, each in results.evaluations.items()}
    path = draw_reliability(tmp_path / "reliability.png", believed, GROUPING)
    assert all(pixels(path, head_colour(index)) > 200 for index in range(2))
