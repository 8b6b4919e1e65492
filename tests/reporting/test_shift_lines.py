"""What results say of heads as curves."""

import csv
import re

import numpy as np

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.reporting.results import RunResults
from bacl.reporting.shift_lines import shift_curves, shift_lines
from tests.evaluation.test_curve_comparison import curve
from tests.evaluations import evaluation, statistics

GROUPS = groups_by_frequency(["r", "f"])
COUNTS = statistics("ab", "rf", [3, 400], [4, 500])


def evaluations(**points):
    return {
        name: evaluation({"AP": 0.5}, GROUPS, shift=curve(own, 400)) for name, own in points.items()
    }


SHIFTED = evaluations(plain=[(0.9, 0.0), (0.7, 0.2)], bacl=[(0.8, 0.4), (0.7, 0.5)])


def test_heads_are_compared_with_the_shifted_reference_in_a_line_each():
    (line,) = shift_lines(shift_curves(SHIFTED))
    expected = (
        "bacl against plain with shifted scores: where both keep 80.0 % of the right labels of "
        r"frequent, it has 40.0 % of rare against 10.0 \(\+30.0 ± [\d.]+\); "
        "area under the curve 45.0 against 15.0"
    )
    assert re.fullmatch(expected, line)
    assert f"- {line}" in RunResults(SHIFTED, COUNTS).markdown().splitlines()


def test_heads_of_which_no_stretch_is_shared_have_no_areas():
    found = evaluations(plain=[(0.9, 0.0), (0.7, 0.2)], other=[(0.5, 0.1), (0.4, 0.3)])
    assert "area" not in shift_lines(shift_curves(found))[0]
    assert "≈" in shift_lines(shift_curves(evaluations(a=[(0.9, 0.1)], b=[(0.9, 0.1)])))[0]


def test_a_head_alone_and_results_without_curves_say_nothing():
    assert shift_lines(shift_curves(evaluations(plain=[(0.9, 0.0)]))) == []
    assert shift_lines(shift_curves({"a": evaluation({"AP": 0.5}, GROUPS)})) == []


def test_the_points_are_a_file(tmp_path):
    RunResults(SHIFTED, COUNTS).write(tmp_path, np.array([1, 2]))
    with (tmp_path / "shift_curves.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    assert lines[1] == {
        "head": "plain", "gamma": "1", "right_label": "0.45", "right_label_r": "0.2",
        "right_label_c": "", "right_label_f": "0.7",
    }  # fmt: skip
