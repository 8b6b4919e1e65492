"""AP of the best so many detections of each category, however many an image has.

As Dave et al. (2021) make it of the official package: the list of results is cut before, and
`max_dets=-1` lets all that is left of an image count.
"""

import json

import numpy as np
import pytest

from bacl.evaluation import finding_verdicts
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results

OF_OFFICIAL = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")


@pytest.fixture
def measured(open_table, tmp_path):
    """(annotations, results, **options) -> measures."""

    def measure(annotations, results, **options):
        table = open_table(annotations)[1]
        (tmp_path / "results.json").write_text(json.dumps(results))
        own = LVISAveragePrecision(table, **options)
        own.update(load_results(tmp_path / "results.json", table))
        return {name: float(value) for name, value in own.compute().items()}

    return measure


def foremost(results, limit):
    """The best of each category over all images, of equals those of the lower image id."""
    ranked = sorted(results, key=lambda each: (-each["score"], each["image_id"]))
    counts, kept = {}, []
    for each in ranked:
        category = each["category_id"]
        counts[category] = counts.get(category, 0) + 1
        if counts[category] <= limit:
            kept.append(each)
    return kept


@pytest.mark.parametrize("of_image", [3, 300])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_ap_of_the_best_of_each_category(measured, random_case, monkeypatch, seed, of_image):
    annotations, results = random_case(seed)
    order = np.random.default_rng(seed).permutation(len(results)) / max(len(results), 1)
    for each, score in zip(results, order.tolist(), strict=True):
        each["score"] = score  # no equals
    limit = int(np.random.default_rng(seed).choice([1, 4, 15]))
    expected = measured(annotations, foremost(results, limit), max_detections=10**4)
    monkeypatch.setattr(finding_verdicts, "FIXED_LIMIT", limit)
    found = measured(annotations, results, max_detections=of_image)
    assert found["AP_fixed"] == expected["AP"]
    for key in "rcf":
        assert found[f"AP_fixed_{key}"] == expected[f"AP{key}"]


def assert_official(found, reference):
    assert found["AP_fixed"] == pytest.approx(reference.results["AP"], abs=1e-6)
    for key in "rcf":
        expected = reference.results[f"AP{key}"]
        assert found[f"AP_fixed_{key}"] == pytest.approx(expected, abs=1e-6), key


@OF_OFFICIAL
@pytest.mark.parametrize("limit", [5, 10_000])
@pytest.mark.parametrize("seed", [1, 3, 36])
def test_it_is_the_official_ap_of_a_list_cut_before(
    measured, random_case, official, tmp_path, monkeypatch, seed, limit
):
    annotations, results = random_case(seed)
    kept = foremost(results, limit)
    assert (len(kept) < len(results)) == (limit == 5)
    monkeypatch.setattr(finding_verdicts, "FIXED_LIMIT", limit)
    found = measured(annotations, results, max_detections=3)
    reference = official(tmp_path / "annotations.json", kept, max_detections=-1)
    assert reference.results["AP"] > 0
    assert found["AP"] != found["AP_fixed"]  # here an image has a limit, there it has none
    assert_official(found, reference)


@OF_OFFICIAL
@pytest.mark.parametrize("limit", [5, 10_000])
def test_it_is_the_official_ap_of_real_annotations_too(
    measured, shared, official, monkeypatch, limit
):
    folder = shared / "data/lvis_val_100"
    annotations = json.loads((folder / "lvis_val_100.json").read_text())
    results = json.loads((folder / "synthetic_results.json").read_text())
    kept = foremost(results, limit)
    assert (len(kept) < len(results)) == (limit == 5)
    monkeypatch.setattr(finding_verdicts, "FIXED_LIMIT", limit)
    found = measured(annotations, results, max_detections=10)
    assert_official(found, official(folder / "lvis_val_100.json", kept, max_detections=-1))


def test_where_nothing_is_cut_off_it_is_ap(measured, random_case):
    found = measured(*random_case(1))
    assert found["AP_fixed"] == found["AP"] > 0


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_of_equals_the_same_count_in_whichever_order_images_come(
    open_table, random_case, tmp_path, monkeypatch, seed
):
    annotations, results = random_case(seed)
    table = open_table(annotations)[1]
    file = tmp_path / "results.json"
    file.write_text(json.dumps([{**each, "score": 0.5} for each in results]))
    columns = load_results(file, table)
    monkeypatch.setattr(finding_verdicts, "FIXED_LIMIT", 2)
    values = []
    for order in (columns.image_ids, columns.image_ids[::-1]):
        metric = LVISAveragePrecision(table)
        for image_id in order:
            metric.update(columns.only(columns.image_ids == image_id))
        values.append(float(metric.compute()["AP_fixed"]))
    assert values[0] == values[1]
