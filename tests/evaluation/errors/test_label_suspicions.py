"""Planted errors of annotations are found, and what is right, or always confused, is not."""

import numpy as np
import pytest

from bacl.evaluation.errors.label_suspicions import label_suspicions
from bacl.evaluation.rules import Rules

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
BOX = [0.0, 0.0, 40.0, 40.0]
CUP, MUG, LAMP = 10, 20, 30


def annotations(objects, images=6):
    """Objects (image, category, box), every category judged in every image."""
    return {
        "images": [
            {
                "id": number, "file_name": f"{number}.jpg", "height": 99, "width": 99,
                "neg_category_ids": [CUP, MUG, LAMP], "not_exhaustive_category_ids": [],
            }
            for number in range(1, images + 1)
        ],
        "annotations": [
            {"id": 100 + n, "image_id": i, "category_id": c, "bbox": box, "area": 9.0}
            for n, (i, c, box) in enumerate(objects)
        ],
        "categories": [
            {"id": each, "name": f"kind {each}", "frequency": "f"} for each in (CUP, MUG, LAMP)
        ],
    }  # fmt: skip


def results(*rows):
    return [
        {"image_id": image, "category_id": category, "score": score, "bbox": box}
        for image, category, score, box in rows
    ]


CUPS = [(image, CUP, BOX) for image in range(1, 7)]
FOUND = results(*((image, CUP, 0.5, BOX) for image in range(1, 6)), (6, MUG, 0.9, BOX))


@pytest.fixture
def suspicions(errors_of):
    """(annotations, results of each head) -> {kind: LabelSuspicions}."""

    def find(truth, *heads):
        findings = [errors_of(truth, each, LVIS)[0] for each in heads]
        return {each.kind.value: each for each in label_suspicions(findings)}

    return find


def test_what_all_heads_contradict(suspicions):
    found = suspicions(annotations(CUPS), FOUND, FOUND)["contradicted"]
    assert found.rows.tolist() == [5]
    assert (found.labels.tolist(), found.suggested.tolist()) == ([0], [1])
    # The best of all detections of either head; of the five other cups none is called so.
    assert found.confidence.tolist() == [pytest.approx(1 * (1 - 1 / 7))]
    assert found.images.tolist() == [5]


def test_what_is_the_detection_of_another_object_contradicts_nothing(suspicions):
    beside = [0.0, 30.0, 40.0, 40.0]  # IoU 1/7
    assert not len(suspicions(annotations([*CUPS, (6, MUG, beside)]), FOUND)["contradicted"].images)
    apart = [50.0, 50.0, 40.0, 40.0]
    assert len(suspicions(annotations([*CUPS, (6, MUG, apart)]), FOUND)["contradicted"].images) == 1


def test_heads_that_do_not_agree_contradict_nothing(suspicions):
    other = [*FOUND[:5], {**FOUND[5], "category_id": LAMP}]
    right = [*FOUND[:5], {**FOUND[5], "category_id": CUP}]
    for each in (other, right):
        assert not len(suspicions(annotations(CUPS), FOUND, each)["contradicted"].images)


def test_what_is_always_confused_is_less_of_a_suspicion(suspicions):
    confused = results(*((image, MUG, 0.5, BOX) for image in range(1, 7)))
    found = suspicions(annotations(CUPS), confused)["contradicted"]
    assert found.confidence.tolist() == pytest.approx([1 - 6 / 7] * 6)


def test_what_is_missed_makes_no_confusion_of_another_category_usual(suspicions):
    mugs = [(image, MUG, [0.0, 50.0, 40.0, 40.0]) for image in range(1, 7)]  # nobody finds them
    called = [*FOUND[:5], {**FOUND[5], "category_id": LAMP}]  # the last category
    found = suspicions(annotations([*CUPS, *mugs]), called)["contradicted"]
    assert found.confidence.tolist() == [pytest.approx(1 * (1 - 1 / 7))]


def test_what_all_heads_find_beside_all_annotations(suspicions):
    there = [50.0, 50.0, 30.0, 30.0]
    near = [52.0, 50.0, 30.0, 30.0]
    one = [*FOUND[:5], *results((2, LAMP, 0.95, there), (3, LAMP, 0.95, there))]
    two = [*FOUND[:5], *results((2, LAMP, 0.95, near), (3, MUG, 0.95, there))]
    found = suspicions(annotations(CUPS), one, two)["not annotated"]
    assert found.images.tolist() == [1]
    assert found.suggested.tolist() == [2]
    assert found.labels.tolist() == found.rows.tolist() == [-1]
    assert found.confidence[0] == 1
    assert found.boxes.tolist() == [there]


def test_where_a_category_is_not_judged_nothing_is_missing(suspicions):
    there = [50.0, 50.0, 30.0, 30.0]
    truth = annotations(CUPS)
    truth["images"][1]["neg_category_ids"] = [CUP, MUG]
    found = suspicions(truth, [*FOUND[:5], *results((2, LAMP, 0.95, there))])["not annotated"]
    assert not len(found.images)


def test_two_labels_on_one_object(suspicions):
    close = [0.0, 0.0, 40.0, 41.0]
    half = [0.0, 0.0, 40.0, 60.0]
    truth = annotations([*CUPS, (2, MUG, close), (3, CUP, BOX), (4, LAMP, half)])
    found = suspicions(truth, [])["two labels"]
    assert found.images.tolist() == [1]
    assert (found.labels.tolist(), found.suggested.tolist()) == ([1], [0])
    assert found.confidence[0] == pytest.approx(40 / 41)
    assert found.rows.tolist() == [truth_row(truth, 106)]


def truth_row(truth, annotation_id):
    """Rows of the table are by image, in file order."""
    own = sorted(truth["annotations"], key=lambda each: each["image_id"])
    return [each["id"] for each in own].index(annotation_id)


def test_nothing_is_suspected_of_nothing(suspicions):
    for found in suspicions(annotations([]), [], []).values():
        assert not len(found.images)
        assert found.boxes.shape == (0, 4)


def test_the_surest_come_first(suspicions):
    there, too = [50.0, 50.0, 30.0, 30.0], [0.0, 60.0, 30.0, 30.0]
    head = [*FOUND[:5], *results((2, LAMP, 0.6, there), (3, MUG, 0.7, too))]
    found = suspicions(annotations([*CUPS, (1, MUG, too)]), head)["not annotated"]
    assert found.images.tolist() == [2, 1]
    assert (np.diff(found.confidence) < 0).all()
    assert found.surest(1).images.tolist() == [2]
