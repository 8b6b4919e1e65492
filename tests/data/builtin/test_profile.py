import json
from itertools import pairwise

import numpy as np
import pytest

from bacl.data.builtin.profile import frequency, spread, training_counts, validation_counts


def test_profile_is_that_of_lvis_where_the_images_suffice():
    counts = training_counts(70, 480, int(0.8 * 10 * 480))
    assert [frequency(counts).count(group) for group in "rcf"] == [26, 26, 18]
    assert counts.min() == 1
    assert all(a >= b for a, b in pairwise(counts))
    assert counts.max() <= 0.9 * 480
    assert 0.98 * 3840 <= counts.sum() <= 3840  # the top count is the largest that fits


def test_profile_of_lvis_size_has_the_quantiles_of_lvis(shared):
    file = shared / "data/lvis_stats/lvis_v0.5_train_categories.json"
    real = np.sort([record["image_count"] for record in json.loads(file.read_text())])[::-1]
    ours = training_counts(1230, 57_623, int(real.sum()))
    assert frequency(ours) == frequency(real)
    assert np.abs(np.log(ours / real)).max() <= np.log(2)  # 1 and 2
    assert np.abs(np.log(ours / real)).mean() < 0.1


def test_too_few_images_scale_the_profile_down():
    counts = training_counts(1200, 300, 3000)
    assert counts.min() == 1
    assert 2900 <= counts.sum() <= 3000
    assert training_counts(5, 1, 5).tolist() == [1] * 5
    with pytest.raises(ValueError, match="num_train=300"):
        training_counts(1200, 300, 1199)


def test_validation_is_flatter_and_fills_its_images():
    train = training_counts(70, 480, 3840)
    val = validation_counts(train, 160, 1280)
    assert val.sum() == 1280
    assert val.min() >= 8
    assert val.max() / val.min() <= (train.max() / train.min()) ** 0.3
    assert validation_counts(train, 1, 10).sum() == 10
    assert validation_counts(train, 1, 1000).max() == 1


def test_spread_keeps_every_count_and_no_image_overflows():
    counts = np.array([27, 1, 10, 0, 20])
    images = spread(counts, 30, 3, np.random.default_rng(0))
    assert len(images) == 30
    assert np.bincount(np.concatenate(images), minlength=5).tolist() == counts.tolist()
    assert all(len(set(labels)) == len(labels) <= 3 for labels in map(list, images))
