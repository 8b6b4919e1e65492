"""What is known about the categories of an image."""

import numpy as np
import pytest

from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
COCO = Rules(100, limit_per_category=True, federated=False, without_area=True)
PRESENT, ABSENT, PARTLY, UNKNOWN = range(4)


@pytest.fixture
def content():
    """Image 7 has objects of the first and third of four categories; the second one's are absent,
    the third one's annotated in part. Image 3 has nothing but an absent category."""
    lists = {"neg_category_ids": [ABSENT + 1], "not_exhaustive_category_ids": [PARTLY + 1]}
    size = {"height": 90, "width": 90}
    return {
        "images": [
            {"id": 7, "file_name": "7.jpg", **size, **lists},
            {"id": 3, "file_name": "3.jpg", **size, **lists, "not_exhaustive_category_ids": []},
        ],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": label + 1, "bbox": [0, 0, 9, 9], "area": 81.0}
            for n, label in enumerate((PRESENT, PARTLY), 1)
        ],
        "categories": [
            {"id": label + 1, "name": f"kind {label}", "frequency": "c"} for label in range(4)
        ],
    }


def test_a_detection_without_object_is_wrong_only_where_that_is_known(open_table, content):
    truth = GroundTruth.from_table(open_table(content)[1], LVIS)
    assert np.flatnonzero(truth.judged(7)).tolist() == [PRESENT, ABSENT]
    assert np.flatnonzero(truth.judged(3)).tolist() == [ABSENT]


def test_images_that_are_annotated_in_full_are_judged_in_full(open_table, content):
    assert GroundTruth.from_table(open_table(content)[1], COCO).judged(7).all()
    for image in content["images"]:
        del image["neg_category_ids"], image["not_exhaustive_category_ids"]
    assert GroundTruth.from_table(open_table(content)[1], LVIS).judged(7).all()
