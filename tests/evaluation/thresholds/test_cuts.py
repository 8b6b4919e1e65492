"""The best cut of a ranking: by hand, beside a plain loop, with ties, and where there is none."""

import numpy as np
import pytest

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.thresholds.cuts import best_cuts
from bacl.evaluation.thresholds.objectives import (
    BestF1,
    LowestCost,
    Objective,
    WishedPrecision,
    WishedRecall,
)
from bacl.evaluation.thresholds.scored import Scored
from tests.evaluation.thresholds.scores import drawn, scored

GROUPING = groups_by_frequency(["r", "c", "f"])
NINE = groups_by_frequency([*"rrrcccfff"])
VERDICTS = {0.9: True, 0.8: False, 0.6: True, 0.4: False, 0.2: False}
FIVE = scored(
    [(0, score, right, 0) for score, right in VERDICTS.items()], [(0, image) for image in range(4)]
)
"""Of category 0, four objects."""


def threshold(found: Scored, by: Objective, label: int = 0) -> float:
    weights = by.weights(GROUPING, ["a", "b", "c"])
    return float(best_cuts(found, found.objects(weights[0]), weights, by).thresholds[label])


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (BestF1(), 0.5),  # F1 2/5 of the first, 4/7 of three
        (WishedPrecision(0.9), 0.85),
        (WishedPrecision(0.6), 0.5),  # 2 of 3
        (WishedRecall(0.25), 0.85),  # both cuts reach it, the first is more precise
        (WishedRecall(0.5), 0.5),
        (LowestCost(1, 1), 0.85),  # costs 3 and 3: the higher threshold of equals
        (LowestCost(2, 1), 0.5),  # costs 6, and 4 + 1
        (LowestCost(1, 5), 0.85),
    ],
)
def test_by_hand(by, expected):
    assert threshold(FIVE, by) == pytest.approx(expected)


def test_what_was_wished_for_and_is_not_there_is_told():
    for by, expected in ((WishedPrecision(0.9), 0.7), (WishedRecall(0.9), 0.7)):
        found = scored([(0, 0.9, False, 0), (0, 0.8, True, 0), (0, 0.6, False, 0)], [(0, 0)] * 3)
        weights = by.weights(GROUPING, [])
        cuts = best_cuts(found, found.objects(weights[0]), weights, by)
        assert not cuts.reached[0]
        assert cuts.thresholds[0] == pytest.approx(expected)


def test_equal_scores_are_never_parted():
    found = scored([(0, 0.5, True, 0), (0, 0.5, False, 1), (0, 0.5, True, 2)], [(0, 0)] * 2)
    assert threshold(found, BestF1()) == 0.5
    assert threshold(found, WishedPrecision(1.0)) == 0.5


def test_nothing_is_taken_where_every_detection_costs_more_than_it_finds():
    found = scored([(0, 0.9, False, 0), (0, 0.8, True, 0)], [(0, 0)])
    assert threshold(found, LowestCost(1, 10)) == pytest.approx(0.95)
    assert threshold(found, LowestCost(20, 10)) == 0.8  # nothing lies below it


def test_a_category_without_a_right_detection_has_no_cut():
    found = scored([(1, 0.9, False, 0)], [(0, 0), (1, 0)])
    assert np.isnan([threshold(found, BestF1(), label) for label in range(3)]).all()


@pytest.mark.parametrize(
    "by",
    [
        BestF1(),
        WishedPrecision(0.5),
        WishedPrecision(0.99),
        WishedRecall(0.4),
        WishedRecall(0.99),
        LowestCost(1, 0.25, {"r": {"miss": 3}, "f": {"false_detection": 2}}),
    ],
    ids=lambda by: by.title,
)
@pytest.mark.parametrize("seed", range(4))
def test_every_other_cut_is_no_better_than_that_of_all_categories_at_once(by, seed):
    found = drawn(seed)
    weights = by.weights(NINE, [])
    objects = found.objects(weights[0])
    cuts = best_cuts(found, objects, weights, by)
    for label in range(found.num_categories):
        own = found.labels == label
        if not found.right[own].any():
            assert np.isnan(cuts.thresholds[label])
            continue
        utility = {t: _utility(found, own, t, label, weights, by) for t in found.scores[own]}
        utility[2.0] = _utility(found, own, 2.0, label, weights, by)
        taken = _utility(found, own, cuts.thresholds[label], label, weights, by)
        assert taken == pytest.approx(max(utility.values()))
        assert cuts.reached[label] == by.reached(np.array([max(utility.values())]))[0]


def _utility(found, own, threshold, label, weights, by) -> float:
    taken = own & (found.scores >= threshold)
    right = float((taken & found.right).sum()) * weights[0][label]
    wrong = float((taken & ~found.right).sum()) * weights[1][label]
    objects = (found.object_labels == label).sum() * weights[0][label]
    return float(by.utility(*(np.array([each]) for each in (right, wrong, objects)))[0])
