"""Counts of the training annotations, as indicators and losses take them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bacl.indicators import counts_of, frequency_groups, image_frequencies
from bacl.losses import ACSL, BAGS, EQL

COUNTS = SimpleNamespace(
    image_counts=np.array([0, 1, 40, 80]),
    instance_counts=torch.tensor([0, 1, 90, 200]),
    frequency=np.array(["r", "r", "c", "f"]),
    num_annotated=80,
)


def test_counts_are_a_copy():
    counts = counts_of(COUNTS, "instance_counts", 4)
    counts += 1
    assert COUNTS.instance_counts.tolist() == [0, 1, 90, 200]
    assert counts_of(COUNTS, "image_counts", 4).dtype == torch.int64


def test_shares_of_images_are_neither_none_nor_all():
    expected = torch.tensor([1 / 80, 1 / 80, 0.5, 79.5 / 80]).double()
    torch.testing.assert_close(image_frequencies(COUNTS, 4), expected)
    alone = SimpleNamespace(image_counts=[1, 1], num_annotated=1)
    assert image_frequencies(alone, 2).tolist() == [0.5, 0.5]


def test_groups_are_numbered_from_rare_to_frequent():
    assert frequency_groups(COUNTS, 4).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    "build",
    [
        lambda: EQL(3, 0.001, 0.01, COUNTS),
        lambda: BAGS(3, [10], 8, COUNTS, seed=0),
        lambda: ACSL(3, 0.01, 0.7, 0.1, 0.01, COUNTS, seed=0),
    ],
)
def test_counts_of_other_classes_are_refused(build):
    with pytest.raises(ValueError, match=r"statistics\..*expected.*3.*take the statistics of the"):
        build()
