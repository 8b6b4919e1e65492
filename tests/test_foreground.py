"""Foreground rows and their classes, found without waiting."""

import pytest
import torch

from bacl.indicators import Foreground
from bacl.processes.class_sums import sum_per_class

C = 7


@pytest.mark.parametrize("labels", [[2, 7, 0, 2, 6, 7], [7, 7], [], [6, 6], list(range(8)) * 3])
def test_places_lead_to_the_rows_classes(labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    found = Foreground.among(labels, C)
    assert found.rows.tolist() == [row for row, label in enumerate(labels) if label < C]
    assert torch.equal(found.labels, labels[found.rows])
    assert torch.equal(found.classes[found.places], found.labels)
    assert torch.equal(found.counts, torch.bincount(found.labels, minlength=C))


@pytest.mark.parametrize("at_most", [3, 4, 7, 50])
def test_totals_are_the_sums_per_class_however_many_places_there_are(at_most):
    labels = torch.tensor([5, 1, 5, 6, 1, 5])
    values = torch.randn(6, 3)
    found = Foreground.of(torch.arange(6), labels, C, at_most)
    assert len(found.classes) == min(at_most, C)
    dense = torch.zeros(C, 3, dtype=torch.float64)
    sums = found.totals(values, found.counts)
    expected = sum_per_class(values, labels, C)
    assert torch.equal(sums.totals[: len(expected.classes)], expected.totals)
    assert torch.equal(
        dense.index_add(0, sums.classes, sums.totals),
        dense.index_add(0, expected.classes, expected.totals),
    )


def test_no_row_leaves_nothing_to_add():
    none = torch.zeros(0, dtype=torch.int64)
    sums = Foreground.of(none, none, C, 3).totals(torch.zeros(0, 2), torch.zeros(C).long())
    assert sums.totals.sum() == 0
    assert sums.counts.sum() == 0
