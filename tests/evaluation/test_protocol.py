"""What is said of how figures were measured."""

from types import SimpleNamespace

import pytest

from bacl.evaluation.protocol import is_minival, protocol
from bacl.evaluation.rules import Rules

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
COCO = Rules(100, limit_per_category=True, federated=False, without_area=True)


def file(images=4809, categories=1203, folder="val2017", exhaustive=False):
    names = [f"{folder}/{number:012}.jpg" for number in range(images)]
    return SimpleNamespace(
        num_images=images, num_categories=categories, exhaustive=exhaustive,
        file_names=lambda: names,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (file(), True),
        (file(images=5000), True),
        (file(images=19809), False),
        (file(folder="train2017"), False),
        (file(categories=80), False),
    ],
)
def test_minival_is_told_by_its_images(table, expected):
    assert is_minival(table) == expected


def test_in_words():
    told = "federated annotations, the best 300 detections of an image count"
    assert protocol(file(), LVIS) == f"LVIS v1 minival: {told}"
    assert protocol(file(images=7), LVIS) == told
    full = "images annotated in full, the best 100 detections of each category of an image count"
    assert protocol(file(exhaustive=True), COCO) == full
