"""Detections of all heads and pictures are fetched together."""

import torch

from bacl.data.batch import Detections
from bacl.prediction.batch_detector import downloaded


def some(count, first):
    numbers = torch.arange(count) + first
    return Detections(numbers[:, None] + torch.zeros(4), numbers / 100, numbers, ["mask"] * count)


def test_they_come_by_three_transfers_and_are_the_same(monkeypatch):
    found = {"bacl": [some(2, 0), some(0, 0), some(3, 5)], "baseline": [some(1, 9)], "none": []}
    transfers, to = [], torch.Tensor.to

    def counted(tensor, *where):
        transfers.append(where)
        return to(tensor, *where)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    here = downloaded(found)
    assert transfers == [("cpu",)] * 3
    assert {head: len(own) for head, own in here.items()} == {"bacl": 3, "baseline": 1, "none": 0}
    for head, own in found.items():
        for one, other in zip(own, here[head], strict=True):
            for name in ("boxes", "scores", "labels"):
                assert torch.equal(getattr(one, name), getattr(other, name))
            assert one.masks is other.masks


def test_nothing_is_fetched_where_nothing_was_detected():
    assert downloaded({}) == {}
    assert downloaded({"bacl": []}) == {"bacl": []}
