"""Pictures as sources of copy-paste: the published draw, and rarer categories first."""

import numpy as np
import pytest
import torch

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.sources import WeightedDraw, category_weights, picture_shares
from bacl.data.dataset import DetectionDataset


def test_weights_fall_with_the_training_images():
    counts = np.array([0, 1, 4, 100])
    np.testing.assert_allclose(category_weights(counts, 0.5), [1, 1, 0.5, 0.1])
    np.testing.assert_array_equal(category_weights(counts, 0.0), [1, 1, 1, 1])


def test_shares_are_those_of_a_draw_of_a_category_and_then_of_a_picture():
    # Category 0 (weight 1) in pictures 0, 1 and 2, twice in 0; category 2 (weight 3) in 2 and 4.
    index, label = np.array([0, 0, 1, 2, 2, 4]), np.array([0, 0, 0, 0, 2, 2])
    found = picture_shares(5, index, label, np.array([1.0, 9.0, 3.0]))
    expected = [1 / 12, 1 / 12, 1 / 12 + 3 / 8, 0, 3 / 8]
    np.testing.assert_allclose(found, expected)


def test_draws_follow_the_shares_and_torchs_generator():
    draw = WeightedDraw(np.array([0.0, 1.0, 0.0, 3.0, 0.0]))
    found = np.bincount([draw() for _ in range(2000)], minlength=5) / 2000
    np.testing.assert_allclose(found, [0, 0.25, 0, 0.75, 0], atol=0.04)
    torch.manual_seed(3)
    first = [draw() for _ in range(20)]
    torch.manual_seed(3)
    assert [draw() for _ in range(20)] == first


def copy_paste(**options) -> CopyPaste:
    return CopyPaste(64, (1.0, 1.0), 0.0, 99, 2, 5, **options)


def sources(data: DetectionDataset, draws: int) -> np.ndarray:
    """How often each picture of a data set was the source."""
    records: list[int] = []
    load = data._load
    data._load = lambda record: records.append(record) or load(record)
    for _ in range(draws):
        data._load_random()
    return np.bincount(records, minlength=data.table.num_images)


@pytest.fixture
def pictures(tmp_path, write_set):
    """Kind 1 in eight pictures, kind 2 in two of these, kind 3 in one more; one without objects."""
    boxes = {number: [(2, 4, 20, 30, 1)] for number in range(8)}
    boxes[6].append((5, 5, 9, 9, 2))
    boxes[7].append((5, 5, 9, 9, 2))
    boxes[8] = [(2, 4, 20, 30, 3)]
    file = write_set(tmp_path, [(48, 48)] * 10, boxes)

    def build(**options):
        return DetectionDataset(AnnotationTable.open(file), tmp_path, copy_paste(**options))

    return build


def test_rare_categories_are_sources_first(pictures):
    found = sources(pictures(source_power=1.0), 800) / 800
    weights = np.array([1 / 8, 1 / 2, 1]) / (1 / 8 + 1 / 2 + 1)
    expected = [weights[0] / 8] * 6 + [weights[0] / 8 + weights[1] / 2] * 2 + [weights[2], 0]
    np.testing.assert_allclose(found, expected, atol=0.06)
    alike = sources(pictures(source_power=0.0), 800) / 800
    np.testing.assert_allclose(alike[8], 1 / 3, atol=0.06)


def test_the_default_is_the_published_draw_bit_for_bit(pictures):
    data = pictures()
    torch.manual_seed(5)
    found = sources(data, 30)
    torch.manual_seed(5)
    drawn = [int(torch.randint(9, ())) for _ in range(30)]
    np.testing.assert_array_equal(found, np.bincount(drawn, minlength=10))
