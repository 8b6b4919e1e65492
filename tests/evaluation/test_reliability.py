"""Calibration errors: by hand, of bins of equal mass, of nothing."""

import numpy as np
import pytest

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.reliability import BINS, Reliability, reliabilities
from tests.evaluation.thresholds.scores import drawn


def test_two_bins_by_hand():
    found = Reliability.of(np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 1, 1, 1], bool), bins=2)
    assert found.scores == pytest.approx([0.2, 0.7])
    assert found.right == pytest.approx([0.5, 1.0])
    assert list(found.counts) == [2, 2]
    assert found.error == pytest.approx(0.3)
    assert found.excess == pytest.approx(-0.3)


def test_equal_scores_lie_in_one_bin_whatever_their_order():
    scores = np.array([0.2, 0.5, 0.5, 0.5, 0.5, 0.9])
    one = Reliability.of(scores, np.array([0, 1, 1, 0, 0, 1], bool), bins=3)
    other = Reliability.of(scores, np.array([0, 0, 0, 1, 1, 1], bool), bins=3)
    assert one.error == other.error
    assert one.counts.sum() == 6
    assert list(one.counts) == [1, 5]


def test_scores_that_are_probabilities_have_a_small_error_and_doubled_ones_do_not():
    draw = np.random.default_rng(0)
    scores = np.sort(draw.random(20_000) / 2)
    right = draw.random(20_000) < scores
    assert Reliability.of(scores, right).error < 0.01
    assert Reliability.of(2 * scores, right).error == pytest.approx(0.25, abs=0.01)
    assert len(Reliability.of(scores, right).counts) == BINS


def test_groups_have_their_own_and_nothing_has_none():
    grouping, found = groups_by_frequency([*"rrrcccfff"]), drawn(0)
    every = reliabilities(found, grouping)
    assert list(every) == ["all", "r", "c", "f"]
    assert sum(every[key].counts.sum() for key in "rcf") == every["all"].counts.sum()
    nothing = reliabilities(found.only(np.zeros(30, bool)), grouping)["r"]
    assert nothing.error == -1
    assert nothing.excess == 0
