"""Differences of two heads' right-label shares."""

import numpy as np
import pytest

from bacl.evaluation.bootstrap import ratios, standard_error
from bacl.evaluation.label_difference import Difference, label_differences
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.right_label import RightLabels

GROUPS = groups_by_frequency(["r", "c", "f"])


def heads(images=200, without=0):
    """One right of every second object of category 1, the other also of a fifth of category 0.

    After these images come others without objects.
    """
    image, labels = np.repeat(np.arange(images), 2), np.tile([0, 1], images)
    before = (labels == 1) & (image % 2 == 0)
    after = before | ((labels == 0) & (image % 5 == 0))
    judged = np.arange(images + without)
    return tuple(RightLabels(image, labels, right, judged) for right in (after, before))


def test_differences_and_errors_of_all_and_of_groups():
    found = label_differences(*heads(), GROUPS)
    assert list(found) == [None, "r", "c", "f"]
    assert found[None].value == pytest.approx(0.1)
    assert found["r"].value == pytest.approx(0.2)
    assert found["r"].error == pytest.approx((0.2 * 0.8 / 200) ** 0.5, rel=0.1)
    assert found["c"] == Difference(0, 0)  # both are right of the same objects, in every resample
    assert np.isnan(found["f"].value)
    assert np.isnan(found["f"].error)


def test_images_without_objects_are_drawn_too():
    own, reference = heads(without=200)
    members = np.array([[True, False, False]])
    right, objects = own.sums(members)
    assert right.shape == objects.shape == (400, 1)
    assert objects[:200].all()
    assert not objects[200:].any()
    change = ratios(right, objects) - ratios(*reference.sums(members))
    found = label_differences(own, reference, GROUPS)
    assert found["r"] == Difference(pytest.approx(0.2), standard_error(change)[0])
    assert found["r"].error != label_differences(*heads(), GROUPS)["r"].error


def test_a_difference_is_told_as_one_from_two_standard_errors_on():
    assert Difference(-0.03, 0.01).sure
    assert not Difference(0.02, 0.01).sure
    assert not Difference(0.0, 0.0).sure
    assert not Difference(0.5, np.nan).sure  # of a single image


def test_heads_of_other_objects_are_not_compared():
    with pytest.raises(ValueError, match="different objects"):
        label_differences(heads()[0], heads(100)[0], GROUPS)
