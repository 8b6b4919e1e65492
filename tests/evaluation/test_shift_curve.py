"""Right labels over a shift of scores."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bacl.evaluation import contenders
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.results_json import load_results
from bacl.evaluation.right_label import right_labels
from bacl.evaluation.shift_curve import GAMMAS, shift_curve
from bacl.evaluation.truth import GroundTruth
from bacl.heads.calibrations.shift import ScoreShift
from tests.evaluation.test_right_label import BOX, COCO, LVIS, detections, file
from tests.evaluations import statistics


@pytest.fixture
def opened(open_table, tmp_path):
    """(annotations, results, rules) -> (truth, detections, groups)."""

    def read(annotations, results, rules=LVIS):
        table = open_table(annotations)[1]
        (tmp_path / "results.json").write_text(json.dumps(results))
        found = load_results(tmp_path / "results.json", table)
        return GroundTruth.from_table(table, rules), found, groups_by_frequency(table.frequency)

    return read


@pytest.mark.parametrize("rules", [LVIS, COCO])
@pytest.mark.parametrize("seed", range(8))
def test_every_point_is_that_of_shifted_scores(opened, random_case, monkeypatch, seed, rules):
    monkeypatch.setattr(contenders, "_PAIRS_AT_ONCE", 20)
    truth, found, groups = opened(*random_case(seed), rules)
    counts = np.random.default_rng(seed).choice([0, 1, 4, 16, 100], truth.num_categories)
    curve = shift_curve(truth, found, rules, groups, counts)
    assert curve.gammas == GAMMAS
    assert right_labels(truth, found, rules).right.tolist() == curve.right_labels[0].right.tolist()
    for gamma, labels in zip(curve.gammas, curve.right_labels, strict=True):
        factors = np.maximum(counts, 1) ** -gamma
        shifted = replace(found, scores=found.scores * factors[found.labels])
        expected = right_labels(truth, shifted, rules)
        assert labels.right.tolist() == expected.right.tolist()
        assert labels.labels.tolist() == expected.labels.tolist()


def test_the_shift_is_that_of_the_calibration():
    counts = statistics("abc", "rcf", [0, 9, 400], [0, 9, 400])
    factors = np.maximum(counts.image_counts.numpy(), 1) ** -0.7
    ours = ScoreShift(3, counts, 0.7).factors
    torch.testing.assert_close(ours, torch.from_numpy(factors).float())


def test_by_hand(opened):
    # Over the rare object the frequent category is four times as sure, over the frequent one nine
    # times; of the one there are 1 training images, of the other 100.
    other = [50.0, 0.0, 40.0, 40.0]
    annotations = file([(10, BOX), (30, other)])
    results = detections((10, 0.2), (30, 0.8), (10, 0.1, other), (30, 0.9, other))
    truth, found, groups = opened(annotations, results)
    curve = shift_curve(truth, found, LVIS, groups, np.array([1, 10, 100]), (0.0, 0.4, 0.5, 1.2))
    rare, frequent = curve.ends
    assert (rare.key, frequent.key) == ("r", "f")  # of the common ones there is no object
    assert curve.shares(rare).tolist() == [0, 1, 1, 1]
    assert curve.shares(frequent).tolist() == [1, 1, 0, 0]


def test_data_with_objects_of_one_group_have_no_ends(opened):
    truth, found, groups = opened(file([(10, BOX)]), detections((10, 0.5)))
    assert shift_curve(truth, found, LVIS, groups, np.ones(3)).ends is None
    truth, found, groups = opened(file([]), detections((10, 0.5)))
    assert shift_curve(truth, found, LVIS, groups, np.ones(3)).ends is None
