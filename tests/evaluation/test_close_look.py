"""Precision and recall of each category over thresholds, and its surest detections."""

import json
from dataclasses import fields

import numpy as np
import pytest

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.close_look import CASES, close_look, threshold_curves
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.finding_verdicts import find_verdicts
from bacl.evaluation.results_json import load_results
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts
from tests.evaluations import RULES


def verdicts(labels, scores, right, wrong, objects):
    bits = [np.array(each, np.uint64) for each in (right, wrong)]
    objects = np.array(objects)[:, None]
    given = {
        "labels": np.array(labels, np.int32), "scores": np.array(scores, float),
        "right": bits[0], "wrong": bits[1], "num_objects": objects,
    }  # fmt: skip
    return Verdicts(**{field.name: given.get(field.name) for field in fields(Verdicts)})


def test_equal_scores_go_together():
    found = verdicts([0, 0, 0], [0.9, 0.5, 0.5], [1, 0, 1], [0, 1, 0], [4])
    curves = threshold_curves(found)
    assert curves.scores.tolist() == [0.9, 0.5]
    assert curves.precision.tolist() == [1.0, 2 / 3]
    assert curves.recall.tolist() == [0.25, 0.5]


def test_categories_are_counted_each_by_itself():
    labels, scores = [0, 0, 2, 2], [0.9, 0.8, 0.7, 0.6]
    curves = threshold_curves(verdicts(labels, scores, [1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 2]))
    assert curves.labels.tolist() == [0, 0, 2, 2]
    assert curves.precision.tolist() == [1.0, 0.5, 0.0, 0.5]
    assert curves.recall.tolist() == [1.0, 1.0, 0.0, 0.5]


def test_what_is_neither_right_nor_wrong_and_categories_without_objects_are_left_out():
    found = verdicts([0, 0, 1], [0.9, 0.8, 0.7], [0, 1, 0], [0, 0, 1], [1, 0])
    curves = threshold_curves(found)
    assert curves.scores.tolist() == [0.8]
    assert curves.precision.tolist() == [1.0]


def test_a_long_curve_has_few_points_and_keeps_its_ends():
    number = 10_000
    right = np.arange(number) % 3 == 0
    scores = np.linspace(1, 0, number)
    found = verdicts(np.zeros(number, int), scores, right, ~right, [right.sum()])
    curves = threshold_curves(found)
    assert len(curves.scores) < 30
    assert (curves.scores[0], curves.scores[-1], curves.recall[-1]) == (1.0, 0.0, 1.0)


def test_nothing_detected_is_no_curve_and_no_case():
    empty = verdicts([], [], [], [], [3])
    assert len(threshold_curves(empty).labels) == 0


@pytest.mark.parametrize("seed", range(3))
def test_curves_and_cases_are_those_of_a_plain_loop(random_case, open_table, seed, tmp_path):
    annotations, results = random_case(seed)
    _, table = open_table(annotations)
    truth = GroundTruth.from_table(table, RULES)
    detections = columns(table, results, tmp_path)
    overlap = box_overlap(detections.boxes, truth.boxes, truth.crowd)
    look = close_look(
        detections, find_verdicts(truth, detections, detections.areas, overlap, RULES)
    )
    for label in range(table.num_categories):
        own = look.cases.labels == label
        for right in (True, False):
            some = own & (look.cases.right == right)
            assert some.sum() <= CASES
            assert look.cases.ranks[some].tolist() == list(range(some.sum()))
            assert (np.diff(look.cases.scores[some]) <= 0).all()
            assert len(set(look.cases.image_ids[some].tolist())) == some.sum()


def columns(table, results, tmp_path) -> DetectionColumns:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    return load_results(path, table)
