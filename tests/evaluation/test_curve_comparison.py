"""Curves over a shift beside each other."""

import numpy as np
import pytest

from bacl.evaluation.curve_comparison import Front, areas, front, gain
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.shift_curve import ShiftCurve

GROUPS = groups_by_frequency(["r", "f"])


def curve(points, images=100):
    """Of (frequent, rare) shares; every image has an object of each group."""
    image, labels = np.repeat(np.arange(images), 2), np.tile([0, 1], images)
    share = np.random.default_rng(0).permutation(images)[image] / images
    rights = [share < np.where(labels == 0, rare, frequent) for frequent, rare in points]
    found = tuple(RightLabels(image, labels, right, np.arange(images)) for right in rights)
    return ShiftCurve(tuple(range(len(points))), found, GROUPS)


def test_what_is_reached_is_the_best_of_all_shifts_that_keep_as_much():
    # The point at 0.6 is worse in both than that at 0.7; of the two at 0.9 the better one counts.
    found = Front.of(np.array([0.9, 0.9, 0.7, 0.6, 0.5]), np.array([0.1, 0.0, 0.3, 0.2, 0.4]))
    assert found.x.tolist() == [0.5, 0.6, 0.7, 0.9]
    assert found.y.tolist() == [0.4, 0.3, 0.3, 0.1]
    assert found.at(np.array([0.2, 0.55, 0.65, 0.8, 0.9])) == pytest.approx(
        [0.4, 0.35, 0.3, 0.2, 0.1]
    )
    assert np.isnan(found.at(0.95))


def test_an_area_is_the_mean_height():
    found = Front.of(np.array([0.9, 0.7, 0.6, 0.5]), np.array([0.1, 0.3, 0.2, 0.4]))
    for low, high in ((0.5, 0.9), (0.52, 0.87), (0.61, 0.62)):
        fine = found.at(np.linspace(low, high, 200_001))
        assert found.area(low, high) == pytest.approx(fine.mean(), abs=1e-5)
    assert np.isnan(found.area(0.6, 0.6))


def test_areas_are_of_what_all_reach():
    wide = Front(np.array([0.2, 1.0]), np.array([0.8, 0.0]))
    narrow = Front(np.array([0.4, 0.6]), np.array([0.9, 0.9]))
    assert areas({"wide": wide, "narrow": narrow}) == pytest.approx({"wide": 0.5, "narrow": 0.9})
    assert areas({"wide": wide}) == pytest.approx({"wide": 0.4})
    apart = Front(np.array([0.0, 0.1]), np.array([1.0, 0.9]))
    assert np.isnan(list(areas({"wide": wide, "apart": apart}).values())).all()


def test_a_head_is_compared_at_the_most_that_both_keep():
    reference, head = curve([(0.9, 0.0), (0.7, 0.2)]), curve([(0.8, 0.4), (0.5, 0.5)])
    found = gain(head, reference)
    assert (found.at, found.share, found.reference) == pytest.approx((0.8, 0.4, 0.1))
    assert found.difference.value == pytest.approx(0.3)
    assert gain(reference, head).difference.value == pytest.approx(-0.3)
    better = gain(curve([(0.95, 0.3), (0.6, 0.4)]), reference)
    assert (better.at, better.reference) == pytest.approx((0.9, 0.0))  # the reference as it is


def test_the_error_of_a_difference_is_over_images():
    # With the frequent share the same in all resamples, only the rare one varies.
    head, reference = curve([(1.0, 0.3), (1.0, 0.1)], 400), curve([(1.0, 0.1), (1.0, 0.0)], 400)
    found = gain(head, reference).difference
    assert found.value == pytest.approx(0.2)
    assert found.error == pytest.approx((0.2 * 0.8 / 400) ** 0.5, rel=0.1)
    assert found.sure


def test_objects_of_one_group_make_no_front():
    labels = RightLabels(*np.zeros((2, 1), int), np.ones(1, bool), np.arange(1))
    with pytest.raises(ValueError, match="one group"):
        front(ShiftCurve((0.0,), (labels,), GROUPS))
