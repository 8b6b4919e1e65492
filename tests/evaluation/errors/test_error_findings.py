"""Fates of objects, kinds of detections, confusion and costs equal plain loops."""

from collections import Counter

import numpy as np
import pytest

from bacl.evaluation.errors import overlapping_pairs
from bacl.evaluation.errors.category_confusion import UNJUDGED, confusion
from bacl.evaluation.errors.detection_kinds import DetectionKind
from bacl.evaluation.errors.object_fates import NONE, ObjectFate
from bacl.evaluation.rules import Rules
from tests.evaluation.errors import plain_loops

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
COCO = Rules(100, limit_per_category=True, federated=False, without_area=True)
FEW = Rules(4, limit_per_category=False, federated=True, without_area=False)
CASES = [(seed, rules) for rules in (LVIS, COCO, FEW) for seed in range(12)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1].max_detections}")
def case(request, federated_case, errors_of, monkeypatch):
    """(found, table, images of the loops), all detections being told of."""
    seed, rules = request.param
    annotations, results = federated_case(seed)
    pairs = int(np.random.default_rng(seed).choice([1, 20, 1 << 17]))
    monkeypatch.setattr(overlapping_pairs, "_PAIRS_AT_ONCE", pairs)
    found, table = errors_of(annotations, results, rules, threshold=0.0)
    return found, table, plain_loops.images(annotations, results, rules)


def named(kinds, text):
    return kinds[text.upper().replace(" ", "_")]


def test_fates_of_objects(case):
    found, table, images = case
    own = found.objects
    mine = [
        (int(found.truth.image_ids[image]), int(table.category_ids[label]), fate, called, unjudged)
        for image, label, fate, called, unjudged in zip(
            own.images.tolist(), own.labels.tolist(), own.fates.tolist(), own.found.tolist(),
            own.unjudged.tolist(), strict=True,
        )
    ]  # fmt: skip
    expected = []
    for image in images:
        for thing in image.counting:
            fate, called, unjudged = image.fate(thing)
            label = NONE if called is None else table.category_ids.tolist().index(called)
            kind = named(ObjectFate, fate)
            expected.append((image.id, thing["category_id"], kind, label, unjudged))
    assert sorted(mine) == sorted(expected)


def test_kinds_of_detections(case):
    found, table, images = case
    shown = found.shown
    mine = Counter(
        (int(found.truth.image_ids[image]), int(table.category_ids[label]), score, kind)
        for image, label, score, kind in zip(
            shown.images.tolist(), shown.labels.tolist(), shown.scores.tolist(),
            shown.kinds.tolist(), strict=True,
        )
    )  # fmt: skip
    expected = Counter(
        (image.id, each["category_id"], each["score"], named(DetectionKind, each["kind"]))
        for image in images
        for each in image.judged
        if each["kind"] != "unjudged"
    )  # fmt: skip
    assert mine == expected
    assert (np.diff(shown.scores) <= 0).all()
    rest = Counter(each["category_id"] for image in images for each in image.all)
    judged = [each for image in images for each in image.judged if each["kind"] != "unjudged"]
    rest.subtract(each["category_id"] for each in judged)
    assert found.unjudged.tolist() == [rest[own] for own in table.category_ids.tolist()]


def test_confusion(case):
    found, table, images = case
    own = confusion(found.objects, table.num_categories)
    ids = {UNJUDGED: "?", NONE: None} | dict(enumerate(table.category_ids.tolist()))
    mine = {
        (ids[row], ids[column]): count
        for row, column, count in zip(
            own.annotated.tolist(), own.detected.tolist(), own.counts.tolist(), strict=True
        )
    }
    expected = Counter()
    for image in images:
        for thing in image.counting:
            _, called, unjudged = image.fate(thing)
            expected[thing["category_id"], "?" if unjudged else called] += 1
    assert mine == dict(expected)
    for category in {row for row, _ in mine}:
        label = table.category_ids.tolist().index(category)
        assert own.shares[own.annotated == label].sum() == pytest.approx(1)


def test_costs(case):
    found, table, images = case
    expected = plain_loops.parts(images, table.category_ids.tolist())
    parts = found.parts
    own = {"": parts.precision, **parts.mended}
    for kind, by_category in expected.items():
        for label, category in enumerate(table.category_ids.tolist()):
            wanted = by_category.get(category, -1)
            assert own[kind][label] == pytest.approx(wanted, abs=1e-12), (kind, category)
    if by_category:
        gains = [expected["both"][own] - expected[""][own] for own in by_category]
        assert parts.cost("both") == pytest.approx(np.mean(gains))
    else:
        assert np.isnan(parts.cost("both"))


def image(scores, objects=2, partial=()):
    """One image with objects beside each other, and detections far from them."""
    boxes = [[50.0 * number, 0.0, 40.0, 40.0] for number in range(objects)]
    annotations = {
        "images": [
            {"id": 7, "file_name": "7.jpg", "height": 999, "width": 999,
             "neg_category_ids": [20], "not_exhaustive_category_ids": list(partial)}
        ],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 10, "bbox": box, "area": 9.0}
            for n, box in enumerate(boxes, 1)
        ],
        "categories": [{"id": own, "name": str(own), "frequency": "r"} for own in (10, 20, 30)],
    }  # fmt: skip
    results = [
        {"image_id": 7, "category_id": own, "score": score, "bbox": [500.0, 500.0, 40.0, 40.0]}
        for own, score in scores
    ]
    return annotations, results


@pytest.mark.parametrize(
    ("scores", "threshold", "shown", "unjudged"),
    [
        ([(20, 0.9), (20, 0.8), (20, 0.7)], 0.8, 2, 0),  # as many as objects
        ([(20, 0.9), (20, 0.5), (20, 0.5)], 0.9, 1, 0),  # equals stay together
        ([(20, 0.5), (20, 0.5), (20, 0.5)], 0.5, 3, 0),  # one statement is more than none
        ([(20, 0.5)], 0.5, 1, 0),  # all of them
        ([], float("inf"), 0, 0),
        ([(30, 0.9), (30, 0.8), (20, 0.7), (20, 0.6), (20, 0.5)], 0.6, 2, 2),  # of nobody knows
    ],
)
def test_the_operating_threshold(errors_of, scores, threshold, shown, unjudged):
    found, _ = errors_of(*image(scores), LVIS)
    assert found.threshold == threshold
    assert len(found.shown.scores) == shown
    assert found.unjudged.sum() == unjudged
    assert (found.shown.kinds == DetectionKind.BACKGROUND).all()


def test_a_threshold_that_was_asked_for(errors_of):
    found, _ = errors_of(*image([(20, 0.9), (20, 0.4)]), LVIS, threshold=0.5)
    assert found.shown.scores.tolist() == [0.9]
    assert found.objects.fates.tolist() == [ObjectFate.MISSED] * 2


def test_what_is_annotated_in_part_is_not_wrong(errors_of):
    found, _ = errors_of(*image([(10, 0.9)], partial=[10]), LVIS)
    assert len(found.shown.scores) == 0
    found, _ = errors_of(*image([(10, 0.9)], partial=[10]), LVIS, threshold=0.0)
    assert found.unjudged.tolist() == [1, 0, 0]
