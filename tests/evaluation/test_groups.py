"""What a metric says of its groups."""

import numpy as np
import pytest

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.lvis_ap import LVISAveragePrecision, groups_by_frequency
from bacl.evaluation.measures import shown_in, undeclared
from bacl.evaluation.summary import summary
from tests.evaluations import RULES


def grouping(*members, keys="xyz"):
    groups = [CategoryGroup(key, key, np.array(m)) for key, m in zip(keys, members, strict=False)]
    return Grouping(tuple(groups), by_instances=False)


def test_keys_are_by_category_and_empty_groups_are_not_present():
    found = groups_by_frequency(["f", "r", "f"])
    assert found.keys.tolist() == ["f", "r", "f"]
    assert [group.name for group in found.present] == ["rare", "frequent"]
    assert [group.measure.name for group in found.groups] == ["APr", "APc", "APf"]
    assert groups_by_count(np.array([900, 3]), [20, 400]).keys.tolist() == ["3", "1"]


def test_counts_are_those_that_tell_the_groups_apart():
    assert groups_by_frequency(["r"]).counts("images", "instances") == "images"
    assert groups_by_count(np.array([3]), [20]).counts("images", "instances") == "instances"


def test_groups_share_out_the_categories():
    for members in ([[True, False], [False, False]], [[True, True], [False, True]]):
        with pytest.raises(ValueError, match="exactly one"):
            grouping(*members)


@pytest.mark.parametrize("keys", [["x", "x"], ["50", "x"], ["s", "x"], ["", "x"]])
def test_measures_of_groups_have_names_of_their_own(keys):
    with pytest.raises(ValueError, match="not new names"):
        summary(RULES, grouping([True, False], [False, True], keys=keys))


def test_a_metric_declares_what_it_computes(open_table):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 9, "width": 9}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cup", "frequency": "c"}],
    }
    metric = LVISAveragePrecision(open_table(content)[1])
    assert [each.name for each in metric.measures] == list(metric.compute())
    rare = {each.title: (each.name, each.family) for each in metric.measures if each.group == "r"}
    assert rare == {
        "AP_r": ("APr", "AP"),
        "AP@3_r": ("AP@3_r", "AP@3"),
        "AP_pool_r": ("AP_pool_r", "AP_pool"),
        "AP_fixed_r": ("AP_fixed_r", "AP_fixed"),
        "right label_r": ("right_label_r", "right label"),
    }
    main = [each.title for each in shown_in(metric.measures, "main")]
    labels = ["right label", "right label_r", "right label_c", "right label_f"]
    assert main == ["AP", "AP_r", "AP_c", "AP_f", *labels]


def test_results_of_earlier_versions_say_by_their_names_what_they_are(open_table):
    names = ["AP", "AP50", "AP75", "APs", "APr", "AR@300", "segm/AP", "segm/APr", "segm/APs"]
    told = [(each.full_title, each.group, each.of_masks) for each in undeclared(names)]
    assert told == [
        *[("AP", None, False), ("AP50", None, False), ("AP_r", "r", False)],
        *[("AP masks", None, True), ("AP_r masks", "r", True)],
    ]
