"""AP of all detections in one ranking, and AP where few detections of an image count."""

import json
from itertools import chain

import numpy as np
import pytest

from bacl.evaluation.coco_ap import COCOAveragePrecision
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from tests.evaluation.test_right_label import detections, file, iou, limited
from tests.evaluations import RULES, statistics

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def verdict(found, objects, taken, threshold):
    """Which object a detection finds, and whether that one counts: free ones that count first."""
    for excused in (False, True):
        free = [n for n, each in enumerate(objects) if bool(each.get("ignore")) == excused]
        free = [
            n
            for n in free
            if n not in taken and iou(found["bbox"], objects[n]["bbox"]) >= threshold
        ]
        if free:
            best = max(free, key=lambda n: (iou(found["bbox"], objects[n]["bbox"]), n))
            return best, not excused
    return None, False


def judged(annotations, results, threshold):
    """(score, category id, image id, whether right) of what is right or wrong, matched by loops."""
    rows = []
    for image in annotations["images"]:
        things = [a for a in annotations["annotations"] if a["image_id"] == image["id"]]
        things = [each for each in things if each["area"] > 0]
        known = {each["category_id"] for each in things} | set(image["neg_category_ids"])
        taken = {category: set() for category in known}
        for each in limited([r for r in results if r["image_id"] == image["id"]], RULES):
            category = each["category_id"]
            if category not in known or each["bbox"][2] * each["bbox"][3] == 0:
                continue
            own = [thing for thing in things if thing["category_id"] == category]
            what, right = verdict(each, own, taken[category], threshold)
            if what is not None:
                taken[category].add(what)
            if right or (what is None and category not in image["not_exhaustive_category_ids"]):
                rows.append((each["score"], category, image["id"], right))
    return rows


def one_curve(rows, number):
    """Mean of the best precision from each of 101 recalls on."""
    precisions, hits = [], 0
    for rank, (*_, right) in enumerate(sorted(rows, key=lambda row: (-row[0], *row[1:3])), 1):
        hits += right
        precisions.append((hits / number, hits / rank))
    return np.mean(
        [
            max([p for reached, p in precisions if reached >= recall - 1e-12], default=0.0)
            for recall in np.linspace(0, 1, 101)
        ]
    )


def pool(annotations, results, categories):
    """AP of these categories' detections in one ranking; -1 without objects."""
    number = sum(
        each["category_id"] in categories and each["area"] > 0 and not each.get("ignore")
        for each in annotations["annotations"]
    )
    found = [judged(annotations, results, threshold) for threshold in THRESHOLDS]
    own = [[row for row in rows if row[1] in categories] for rows in found]
    return np.mean([one_curve(rows, number) for rows in own]) if number else -1


@pytest.fixture
def measured(open_table, tmp_path):
    """(annotations, results, metric of a table) -> measures."""

    def measure(annotations, results, metric=LVISAveragePrecision):
        table = open_table(annotations)[1]
        (tmp_path / "results.json").write_text(json.dumps(results))
        own = metric(table)
        own.update(load_results(tmp_path / "results.json", table))
        return {name: float(value) for name, value in own.compute().items()}

    return measure


@pytest.mark.parametrize("seed", range(12))
def test_pools_equal_plain_loops(measured, random_case, seed):
    annotations, results = random_case(seed)
    found = measured(annotations, results)
    groups = {each["id"]: each["frequency"] for each in annotations["categories"]}
    assert found["AP_pool"] == pytest.approx(pool(annotations, results, set(groups)), abs=1e-6)
    for key in "rcf":
        own = {category for category, group in groups.items() if group == key}
        expected = pool(annotations, results, own)
        assert found[f"AP_pool_{key}"] == pytest.approx(expected, abs=1e-6), key


def test_a_pool_compares_categories_and_ap_does_not(measured):
    annotations = file([(10, [0.0, 0, 40, 40]), (20, [50.0, 0, 40, 40])], negative=[30])
    right = [(10, 0.2), (20, 0.9, [50.0, 0, 40, 40])]
    for score, pooled in ((0.1, 1.0), (0.5, (51 + 50 * 2 / 3) / 101)):
        found = measured(annotations, detections(*right, (30, score)))
        assert found["AP"] == pytest.approx(1)
        assert found["AP_pool"] == pytest.approx(pooled)
        assert (found["AP_pool_r"], found["AP_pool_c"], found["AP_pool_f"]) == (1, 1, -1)


@pytest.mark.parametrize("seed", range(6))
def test_ap_at_the_fitting_limit_is_the_ap_of_rules_with_that_limit(measured, random_case, seed):
    annotations, results = random_case(seed)
    found = measured(annotations, results)
    limited_to_3 = measured(annotations, results, lambda table: LVISAveragePrecision(table, 3))
    assert not any("@3_" in name for name in limited_to_3)
    assert found["AP@3"] == limited_to_3["AP"]
    assert [found[f"AP@3_{key}"] for key in "rcf"] == [limited_to_3[f"AP{key}"] for key in "rcf"]


def test_a_limit_for_each_category_leaves_the_image_one_too(measured, random_case):
    annotations, results = random_case(3)
    images = {each["image_id"] for each in results}
    few = [limited([r for r in results if r["image_id"] == image], RULES)[:3] for image in images]
    number = len(annotations["categories"])

    def coco(table):
        names, counts = [str(n) for n in range(number)], list(range(number))
        return COCOAveragePrecision(table, statistics(names, "f" * number, counts, counts), [2])

    found = measured(annotations, results, coco)
    assert found["AP@3"] == measured(annotations, [*chain(*few)], coco)["AP"] != found["AP"]
