"""Thresholds with what is to be expected of them: no half judges what it chose."""

from dataclasses import replace

import numpy as np
import pytest

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.thresholds.choosing import Chooser, Flag
from bacl.evaluation.thresholds.objectives import BestF1, LowestCost, WishedPrecision
from bacl.evaluation.thresholds.operating_points import (
    GLOBAL,
    HALF,
    PER_CATEGORY,
    PER_GROUP,
    OperatingPoints,
    Outcome,
)
from bacl.messages.errors import OptionError
from tests.evaluation.thresholds.scores import drawn, scored

NINE = groups_by_frequency([*"rrrcccfff"])
FIRST = np.arange(30) < 15


def points(found, by=None, first=FIRST) -> OperatingPoints:
    return OperatingPoints.of(found, np.stack([first, ~first]), Chooser(by or BestF1(), NINE))


@pytest.mark.parametrize("seed", range(3))
def test_each_half_is_judged_by_the_other_as_in_a_plain_loop(seed):
    found = drawn(seed)
    fitted = points(found).fitted
    expected = {choice: np.zeros((2, 9)) for choice in fitted}
    for own, other in ((FIRST, ~FIRST), (~FIRST, FIRST)):
        chosen = Chooser(BestF1(), NINE).choose(found.only(other), found.only(other).ranked())
        for label, score, right in zip(
            *(getattr(found.only(own), name) for name in ("labels", "scores", "right")), strict=True
        ):
            limits = {HALF: 0.5, GLOBAL: chosen.of_all}
            limits |= {PER_GROUP: chosen.per_group[label], PER_CATEGORY: chosen.per_category[label]}
            for choice, limit in limits.items():
                expected[choice][int(not right), label] += score >= limit
    for choice, each in fitted.items():
        assert np.array_equal(each.per_category.found, expected[choice][0])
        assert np.array_equal(each.per_category.false, expected[choice][1])
        assert each.per_category.objects.sum() == 90
        of_groups = each.of_groups(NINE)
        assert of_groups.found[0] == of_groups.found[1:].sum() == each.per_image.found.sum()


def test_what_a_half_chooses_does_not_depend_on_the_other_half():
    found = drawn(1)
    turned = replace(found, right=found.right & FIRST[found.images])
    mine, theirs = (
        Chooser(BestF1(), NINE).choose(each.only(FIRST), each.ranked().only(FIRST))
        for each in (found, turned)
    )
    assert np.array_equal(mine.per_category, theirs.per_category)
    # and what is found in the second half is found by these
    second, other = (points(each).fine.per_image for each in (found, turned))
    counts = [(each.found + each.false)[~FIRST] for each in (second, other)]
    assert np.array_equal(*counts)
    assert not np.array_equal(second.found, other.found)


def test_a_luck_of_one_half_is_not_told_as_expected():
    """Each half's right detections have scores that are wrong in the other."""
    rows = [(0, 0.9 if image < 4 else 0.1, True, image) for image in range(8)]
    rows += [(0, 0.5, False, image) for image in range(8)] * 3
    found = scored(rows, [(0, image) for image in range(8)])
    grouping, first = groups_by_frequency(["r", "c", "f"]), np.arange(8) < 4
    own = OperatingPoints.of(found, np.stack([first, ~first]), Chooser(BestF1(), grouping))
    assert own.thresholds.per_category[0] == pytest.approx(0.7)
    assert own.fitted[PER_CATEGORY].per_category.found[0] == 4  # of the first, at 0.1
    assert own.fitted[PER_CATEGORY].per_category.false[0] == 12
    assert own.taken.found[0] == 4
    assert own.taken.false[0] == 0


def test_categories_that_cannot_be_decided_take_another_threshold_and_say_why():
    found = scored(
        [
            *[(0, 0.8, True, 0), (0, 0.8, True, 1), (0, 0.8, True, 2)],
            *[(1, 0.6, True, 0), (2, 0.9, False, 0), (3, 0.3, True, 0), (5, 0.7, False, 0)],
        ],
        [(label, image) for label in (0, 2, 4, 5) for image in range(3)] + [(1, 0), (3, 1)],
        num_categories=6,
    )
    grouping = groups_by_frequency([*"rrrccf"])
    chosen = Chooser(BestF1(least_objects=2), grouping).choose(found, found.ranked())
    assert list(chosen.flags) == [
        *(Flag.OWN, Flag.FEW_OBJECTS, Flag.NONE_RIGHT),
        *(Flag.FEW_OBJECTS, Flag.NONE_JUDGED, Flag.NONE_RIGHT),
    ]
    rare, common, everything = chosen.per_group[[0, 3, 5]]
    assert list(chosen.per_category) == [pytest.approx(0.8), rare, rare, common, common, everything]
    assert everything == chosen.of_all
    assert list(chosen.in_decided_group) == [True] * 5 + [False]
    assert Flag.FEW_OBJECTS.words == "too few objects"


def test_any_number_of_groups_have_thresholds_of_their_own():
    many = groups_by_count(np.arange(300), range(1, 300))
    found = scored([(0, 0.9, True, 0), (256, 0.2, True, 0)], [(0, 0), (256, 0)], 300)
    chosen = Chooser(BestF1(), many).choose(found, found.ranked()).per_group
    assert (chosen[0], chosen[256]) == (0.9, 0.2)


def test_nothing_at_all_is_no_error():
    nothing = drawn(0).only(np.zeros(30, bool))
    own = points(nothing)
    assert own.thresholds.of_all == 0.5
    assert (own.thresholds.per_category == 0.5).all()
    assert np.isnan(own.fitted[PER_CATEGORY].of_groups(NINE).f1).all()
    assert np.isnan(own.errors[PER_CATEGORY]).all()


def test_a_wish_that_is_not_reached_is_flagged_and_the_category_keeps_its_own():
    found = scored([(0, 0.9, False, 0), (0, 0.8, True, 0)], [(0, 0)] * 3)
    grouping = groups_by_frequency(["r", "c", "f"])
    chosen = Chooser(WishedPrecision(0.9), grouping).choose(found, found.ranked())
    assert chosen.flags[0] == Flag.NOT_REACHED
    assert chosen.own[0]


def test_costs_are_of_all_of_groups_and_of_categories():
    names = [*"abcdefghi"]
    by = LowestCost(1, 2, {"r": {"miss": 10}}, {"b": {"miss": 3, "false_detection": 0.5}})
    miss, false = by.weights(NINE, names)
    assert list(miss) == [10, 3, 10, 1, 1, 1, 1, 1, 1]
    assert list(false) == [2, 0.5, 2, 2, 2, 2, 2, 2, 2]
    for wrong in ({"of_groups": {"x": {}}}, {"of_categories": {"x": {}}}):
        with pytest.raises(OptionError, match=r"thresholds\.of_\w+\.x: there is none; there are"):
            LowestCost(**wrong).weights(NINE, names)


def test_precision_recall_and_f1_by_hand():
    outcome = Outcome(np.array([3, 0]), np.array([1, 0]), np.array([6, 0]))
    assert outcome.precision[0] == 0.75
    assert outcome.recall[0] == 0.5
    assert outcome.f1[0] == 0.6
    assert np.isnan([outcome.precision[1], outcome.recall[1], outcome.f1[1]]).all()


def test_errors_grow_with_fewer_images():
    every, few = (points(drawn(0, num_images=number), first=np.arange(number) < number // 2)
                  for number in (60, 6))  # fmt: skip
    assert 0 < every.errors[PER_CATEGORY][0] < 0.2
    assert few.errors[PER_CATEGORY][0] > 0
