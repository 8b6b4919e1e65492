"""Whether the best detection over an object has its category."""

import json
from itertools import groupby

import numpy as np
import pytest

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation import contenders, right_label
from bacl.evaluation.bootstrap import ratios
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.results_json import load_results
from bacl.evaluation.right_label import RightLabels, right_labels
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
COCO = Rules(100, limit_per_category=True, federated=False, without_area=True)
LABELS = {10: 0, 20: 1, 30: 2}
BOX = [0.0, 0.0, 40.0, 40.0]


def iou(one, other):
    x, y, w, h = one
    u, v, p, q = other
    width, height = min(x + w, u + p) - max(x, u), min(y + h, v + q) - max(y, v)
    common = max(width, 0) * max(height, 0)
    return common / (w * h + p * q - common) if common > 0 else 0.0


def limited(results, rules):
    """Of one image: those that count, best first."""
    ranked, counts, kept = sorted(results, key=lambda each: -each["score"]), {}, []
    for each in ranked:
        owner = each["category_id"] if rules.limit_per_category else None
        counts[owner] = counts.get(owner, 0) + 1
        if counts[owner] <= rules.max_detections:
            kept.append(each)
    return kept


def loop(annotations, results, rules):
    """Object by object, detection by detection: {(image id, category id): [right, ...]}."""
    found = {}
    for image in annotations["images"]:
        own = [each for each in annotations["annotations"] if each["image_id"] == image["id"]]
        own = [each for each in own if rules.without_area or each["area"] > 0]
        present = {each["category_id"] for each in own}
        known = present | set(image["neg_category_ids"])
        partial = set(image["not_exhaustive_category_ids"]) if rules.federated else set()
        ranked = limited([each for each in results if each["image_id"] == image["id"]], rules)
        for thing in own:
            if thing.get("ignore") or thing.get("iscrowd"):
                continue
            category = thing["category_id"]
            verdicts = found.setdefault((image["id"], category), [])
            verdicts.append(False)
            for each in ranked:
                label, (_, _, width, height) = each["category_id"], each["bbox"]
                if rules.federated and label not in known:
                    continue
                if label in partial and label != category:
                    continue
                if not rules.without_area and width * height == 0:
                    continue
                if iou(each["bbox"], thing["bbox"]) >= 0.5:
                    verdicts[-1] = label == category
                    break
    return found


def by_object(found, truth, category_ids):
    """The same of ours."""
    rows = zip(found.images.tolist(), found.labels.tolist(), found.right.tolist(), strict=True)
    named = [
        ((int(truth.image_ids[image]), int(category_ids[label])), right)
        for image, label, right in rows
    ]
    return {key: [right for _, right in own] for key, own in groupby(named, lambda each: each[0])}


@pytest.fixture
def judged(open_table, tmp_path):
    """(annotations, results, rules) -> (RightLabels, truth, table)."""

    def judge(annotations, results, rules=LVIS):
        table = open_table(annotations)[1]
        file = tmp_path / "results.json"
        file.write_text(json.dumps(results))
        truth = GroundTruth.from_table(table, rules)
        return right_labels(truth, load_results(file, table), rules), truth, table

    return judge


@pytest.mark.parametrize("rules", [LVIS, COCO, Rules(4, False, True, False)])
@pytest.mark.parametrize("seed", range(12))
def test_random_cases_equal_a_plain_loop(judged, random_case, monkeypatch, seed, rules):
    annotations, results = random_case(seed)
    draw = np.random.default_rng(seed)
    for each in annotations["annotations"]:
        each["iscrowd"] = int(draw.random() < 0.1)
    monkeypatch.setattr(right_label, "_FIRST_LOOK", int(draw.choice([1, 3, 8])))
    monkeypatch.setattr(contenders, "_PAIRS_AT_ONCE", int(draw.choice([1, 20, 1 << 17])))
    found, truth, table = judged(annotations, results, rules)
    assert by_object(found, truth, table.category_ids) == loop(annotations, results, rules)


def file(objects, negative=(), partial=()):
    """One image with objects of (category id, box)."""
    lists = {"neg_category_ids": list(negative), "not_exhaustive_category_ids": list(partial)}
    return {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 99, "width": 99, **lists}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": category, "bbox": box, "area": 9.0}
            for n, (category, box) in enumerate(objects, 1)
        ],
        "categories": [
            {"id": category, "name": f"kind {category}", "frequency": group}
            for category, group in zip(LABELS, "rcf", strict=True)
        ],
    }


def detections(*rows):
    """Of (category id, score) or (category id, score, box)."""
    return [
        {"image_id": 7, "category_id": row[0], "score": row[1], "bbox": row[2] if row[2:] else BOX}
        for row in rows
    ]


@pytest.mark.parametrize(
    ("lists", "found", "right"),
    [
        ({}, [(10, 0.5)], True),
        ({}, [], False),
        ({}, [(10, 0.9, [20.0, 0, 40, 40]), (10, 0.1)], True),  # IoU 1/3 does not overlap
        ({}, [(10, 0.9, [0.0, 0, 40, 80])], True),  # IoU 1/2 does
        ({"negative": [20]}, [(20, 0.6), (10, 0.5)], False),  # a better one of another category
        ({"negative": [20]}, [(20, 0.5), (10, 0.6)], True),
        ({"negative": [20]}, [(20, 0.5), (10, 0.5)], False),  # the earlier of equals
        ({"negative": [20]}, [(10, 0.5), (20, 0.5)], True),
        ({}, [(20, 0.6), (10, 0.5)], True),  # nobody knows of the other category here
        ({"negative": [20], "partial": [20]}, [(20, 0.6), (10, 0.5)], True),
        ({"partial": [10]}, [(10, 0.5)], True),  # its own may be annotated in part
    ],
)
def test_by_hand(judged, lists, found, right):
    annotations = file([(10, BOX)], **lists)
    assert judged(annotations, detections(*found))[0].right.tolist() == [right]


def test_what_lies_beyond_the_limit_does_not_count_even_if_what_lies_before_is_left_out(judged):
    annotations = file([(10, BOX)])
    found = detections((20, 0.9), (30, 0.8), (10, 0.7))  # the first two are not verified
    assert judged(annotations, found, Rules(3, False, True, False))[0].right.tolist() == [True]
    assert judged(annotations, found, Rules(2, False, True, False))[0].right.tolist() == [False]


def test_one_detection_decides_over_all_objects_that_it_overlaps(judged):
    annotations = file([(10, BOX), (20, BOX), (20, [0.0, 0.0, 40.0, 41.0])])
    assert judged(annotations, detections((20, 0.9), (10, 0.8)))[0].right.tolist() == [0, 1, 1]


RIGHT = RightLabels(
    np.array([0, 0, 2, 2, 2]),
    np.array([0, 1, 1, 1, 2]),
    np.array([True, False, True, True, False]),
    np.array([0, 1, 2]),
)


def test_shares_of_groups_and_of_some_images():
    grouping = groups_by_frequency(["r", "c", "f", "f"])
    assert RIGHT.share() == pytest.approx(0.6)
    assert RIGHT.share(np.array([False, True, True, False])) == pytest.approx(0.5)
    assert RIGHT.share(np.array([False, False, False, True])) == -1
    assert RIGHT.of_groups(grouping) == pytest.approx({"r": 1, "c": 2 / 3, "f": 0})
    assert RIGHT.only(np.array([2, 5])).of_groups(grouping) == {"r": -1, "c": 1, "f": 0}
    assert RIGHT.only(np.array([1])).share() == -1


def test_sums_of_images_give_the_shares():
    members = np.array([[True, False, False, False], [False, True, True, True]])
    right, objects = RIGHT.sums(members)
    assert right.tolist() == [[1, 0], [0, 0], [0, 2]]
    assert objects.tolist() == [[1, 1], [0, 0], [0, 3]]
    assert (right.sum(0) / objects.sum(0)).tolist() == [RIGHT.share(each) for each in members]
    assert ratios(right, objects).shape == (1000, 2)
    assert RIGHT.only(np.array([1])).sums(members)[1].tolist() == [[0, 0]]
    assert RIGHT.only(np.array([5])).sums(members)[0].shape == (0, 2)


def test_nothing_annotated_has_no_share(judged):
    annotations = file([])
    found = judged(annotations, detections((20, 0.5)))[0]
    assert found.share() == -1
    assert not len(found.right)


def test_real_annotations_equal_a_plain_loop(shared, tmp_path):
    folder = shared / "data/lvis_val_100"
    table = AnnotationTable.open(folder / "lvis_val_100.json", cache=tmp_path)
    truth = GroundTruth.from_table(table, LVIS)
    found = right_labels(truth, load_results(folder / "synthetic_results.json", table), LVIS)
    annotations = json.loads((folder / "lvis_val_100.json").read_text())
    expected = loop(annotations, json.loads((folder / "synthetic_results.json").read_text()), LVIS)
    assert by_object(found, truth, table.category_ids) == expected
    assert 0.1 < found.share() < 0.9
