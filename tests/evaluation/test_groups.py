"""What a metric says of its groups."""

import numpy as np
import pytest

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.groups import UNGROUPED, CategoryGroup, Grouping, group_columns
from bacl.evaluation.lvis_ap import LVISAveragePrecision, groups_by_frequency


def grouping(*members, keys="xyz"):
    groups = [CategoryGroup(key, key, np.array(m)) for key, m in zip(keys, members, strict=False)]
    return Grouping(tuple(groups), by_instances=False)


def test_keys_are_by_category_and_empty_groups_are_not_present():
    found = groups_by_frequency(["f", "r", "f"])
    assert found.keys.tolist() == ["f", "r", "f"]
    assert [group.name for group in found.present] == ["rare", "frequent"]
    assert found.columns == {"AP_r": "APr", "AP_c": "APc", "AP_f": "APf"}
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
        grouping([True, False], [False, True], keys=keys)


def test_group_columns_are_what_a_metric_adds_for_its_groups(open_table):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 9, "width": 9}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cup", "frequency": "c"}],
    }
    measures = list(LVISAveragePrecision(open_table(content)[1]).compute())
    assert group_columns(measures) == {"AP_r": "APr", "AP_c": "APc", "AP_f": "APf"}
    assert {name for name in measures if name[:2] == "AP"} == {*UNGROUPED, "APr", "APc", "APf"}
