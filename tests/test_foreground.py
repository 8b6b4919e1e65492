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
    assert torch.equal(found.labels, labels[found.rows].unsqueeze(0))
    assert torch.equal(found.classes.gather(1, found.places), found.labels)
    assert torch.equal(found.counts[0], torch.bincount(found.labels[0], minlength=C))


@pytest.mark.parametrize("at_most", [3, 4, 7, 50])
def test_totals_are_the_sums_per_class_however_many_places_there_are(at_most):
    labels = torch.tensor([[5, 1, 5, 6, 1, 5], [0, 0, 0, 0, 0, 0]])
    values = torch.randn(2, 6, 3)
    found = Foreground.of(torch.arange(6), labels, C, at_most)
    assert found.classes.shape == (2, min(at_most, C))
    dense = torch.zeros(C, 3, dtype=torch.float64)
    pairs = zip(values, labels, found.totals(values, found.counts), strict=True)
    for own, classes, (places, totals) in pairs:
        expected = sum_per_class(own, classes, C)
        assert torch.equal(
            dense.index_add(0, places, totals),
            dense.index_add(0, expected.classes, expected.totals),
        )


def test_one_of_several_heads_is_as_alone():
    labels = torch.tensor([[5, 1, 5], [0, 3, 3]])
    both, one = (Foreground.of(torch.arange(3), own, C, 2) for own in (labels, labels[1:]))
    own = both.of_head(1)
    for part in ("rows", "labels", "counts", "classes", "places"):
        assert torch.equal(getattr(own, part), getattr(one, part))


def test_no_row_leaves_nothing_to_add():
    none = torch.zeros(1, 0, dtype=torch.int64)
    empty = Foreground.of(none[0], none, C, 3)
    ((_, totals),) = empty.totals(torch.zeros(1, 0, 2), empty.counts)
    assert totals.sum() == 0
    assert empty.counts.sum() == 0
