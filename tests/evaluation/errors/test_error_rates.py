"""Rates of errors by head and group, and their differences, beside plain loops."""

import json

import numpy as np
import pytest

from bacl.evaluation.bootstrap import RESAMPLES, standard_error
from bacl.evaluation.errors.error_rates import KINDS, error_rates
from bacl.evaluation.errors.object_fates import ObjectFate
from bacl.evaluation.label_difference import label_differences
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.results_json import load_results
from bacl.evaluation.right_label import right_labels
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)


def by_image(found, members):
    """(I, 1 + R): objects of some categories, and how often each kind occurs, of each image."""
    counts = np.zeros((len(found.truth.image_ids), 1 + len(KINDS)))
    columns = (found.objects.images, found.objects.labels, found.objects.fates)
    for image, label, fate in zip(*columns, strict=True):
        counts[image, [0, 1 + fate]] += members[label]
    columns = (found.shown.images, found.shown.labels, found.shown.kinds)
    for image, label, kind in zip(*columns, strict=True):
        counts[image, 1 + len(ObjectFate) + kind] += members[label]
    return counts


def rates(counts, drawn):
    """Of the images that were drawn, some repeatedly."""
    objects, *own = counts[drawn].sum(0)
    return np.array(own) / objects if objects else np.full(len(own), np.nan)


def test_rates_and_their_differences_equal_plain_loops(federated_case, errors_of):
    annotations, results = federated_case(3)
    (first, table), (second, _) = (
        errors_of(annotations, results[::step], LVIS, threshold=0.2) for step in (1, 2)
    )
    grouping = groups_by_frequency(table.frequency)
    found = error_rates({"one": first, "two": second}, grouping)
    number = len(first.truth.image_ids)
    groups = {None: np.ones(grouping.num_categories, bool)}
    groups |= {group.key: group.members for group in grouping.groups}
    assert found["one"].keys() == groups.keys()
    draws = np.random.default_rng(0).integers(0, number, (RESAMPLES, number))
    for key, members in groups.items():
        counts = [by_image(each, members) for each in (first, second)]
        mine, other = (rates(each, np.arange(number)) for each in counts)
        assert [each.value for each in found["one"][key]] == pytest.approx(mine, nan_ok=True)
        assert all(each.difference is None for each in found["one"][key])
        told = [each.difference for each in found["two"][key]]
        assert [each.value for each in told] == pytest.approx(other - mine, nan_ok=True)
        drawn = [rates(counts[1], each) - rates(counts[0], each) for each in draws]
        errors = standard_error(np.array(drawn))
        assert [each.error for each in told] == pytest.approx(errors, nan_ok=True)


@pytest.mark.parametrize("part", [slice(None), slice(1, None)])
def test_the_share_of_right_objects_has_the_standard_error_of_the_right_label(
    federated_case, open_table, tmp_path, find, part
):
    annotations, results = federated_case(36)
    table = open_table(annotations)[1]
    whole = GroundTruth.from_table(table, LVIS)
    truth = whole.only(whole.image_ids[part])
    grouping = groups_by_frequency(table.frequency)
    errors, labels = {}, {}
    for name, own in (("one", results[::2]), ("two", results)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(own))
        found = load_results(file, table)
        found = found.only(np.isin(found.image_ids, truth.image_ids[truth.judged_images]))
        errors[name] = find(truth, found, LVIS)
        labels[name] = right_labels(truth, found, LVIS)
    assert 0 < len(np.unique(labels["one"].images)) < len(labels["one"].judged)
    rates = error_rates(errors, grouping)["two"]
    differences = label_differences(labels["two"], labels["one"], grouping)
    told = {key: rows[ObjectFate.RIGHT].difference for key, rows in rates.items()}
    assert list(told) == list(differences)
    for key, difference in differences.items():
        assert told[key].error == pytest.approx(difference.error, abs=1e-15, nan_ok=True)
        assert told[key].value == pytest.approx(difference.value, abs=1e-15, nan_ok=True)
    assert differences[None].error > 0


def test_without_objects_there_are_no_rates(federated_case, errors_of):
    annotations, _ = federated_case(3)
    found, table = errors_of(annotations | {"annotations": []}, [], LVIS)
    rows = error_rates({"one": found, "two": found}, groups_by_frequency(table.frequency))["two"][
        None
    ]
    assert all(np.isnan([each.value, each.difference.error]).all() for each in rows)
    assert not any(each.difference.sure for each in rows)
