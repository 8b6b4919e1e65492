"""Candidates in order on the host: by hand, and as on other devices."""

import pytest
import torch

from bacl.detectors.host_ranking import best_first
from bacl.detectors.ranking import Ranking
from bacl.detectors.transfers import Awaited


def ranked(scores, threshold=0.0, wanted=2, size=100) -> list[tuple[list[int], list[float]]]:
    blocks = best_first(torch.tensor(scores), threshold, wanted, size)
    return [(index.tolist(), values.tolist()) for index, values in blocks]


def test_the_best_come_first_and_of_equals_the_earlier():
    scores = [[0.25, 0.5], [0.5, 0.0], [1.0, 0.125]]
    assert ranked(scores, wanted=2) == [([4, 1], [1.0, 0.5]), ([2, 0, 5], [0.5, 0.25, 0.125])]
    assert ranked(scores, wanted=9, size=2)[1] == ([2, 0], [0.5, 0.25])
    assert ranked(scores, threshold=0.25) == [([4, 1], [1.0, 0.5]), ([2], [0.5])]


def test_nothing_is_ranked_of_nothing():
    assert ranked([[0.5]], threshold=0.5) == []
    assert list(best_first(torch.zeros(0, 3), 0.0, 2, 2)) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrong", [torch.inf, torch.nan, -torch.inf])
def test_what_is_not_finite_is_told_and_nothing_else(wrong):
    with pytest.raises(ValueError, match="not finite"):
        ranked([[0.5, wrong], [torch.inf, 3e38]])


@pytest.mark.parametrize("levels", [0, 3, 50])
def test_the_order_is_that_of_other_devices(levels):
    """With the smallest numbers there are, and with ties of scores in few levels."""
    draw = torch.Generator().manual_seed(levels)
    scores = torch.rand(70, 30, generator=draw) ** 40
    if levels:
        scores = (scores * levels).ceil() / levels
    device = Ranking([scores], 0.0, 11, Awaited()).blocks(0, 64)
    for own, expected in zip(best_first(scores, 0.0, 11, 64), device, strict=True):
        assert torch.equal(own[0], expected[0])
        assert torch.equal(own[1], expected[1])
