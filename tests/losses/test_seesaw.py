"""What Seesaw loss does beyond the common contract."""

import math

import pytest
import torch
from torch.nn import functional

from bacl.losses import Seesaw

C = 3


def build(mitigation: float = 0.8, compensation: float = 2.0) -> Seesaw:
    return Seesaw(C, mitigation, compensation)


def test_without_both_factors_it_is_two_cross_entropies():
    logits, labels = torch.randn(8, C + 2), torch.tensor([0, 1, 2, 3, 3, 3, 0, 0])
    foreground = labels < C
    classes = functional.cross_entropy(logits[foreground, :C], labels[foreground], reduction="sum")
    objectness = functional.cross_entropy(logits[:, C:], (~foreground).long(), reduction="sum")
    torch.testing.assert_close(build(0.0, 0.0)(logits, labels), (classes + objectness) / 8)


def test_mitigation_by_hand():
    counts = torch.tensor([100, 10, 0])
    even = torch.zeros(3, C)
    factors = build().log_factors(even, torch.tensor([0, 1, 2]), counts).exp()
    tenth, hundredth = 0.1**0.8, 0.01**0.8  # a class not seen counts as seen once
    expected = [[1, tenth, hundredth], [1, 1, tenth], [1, 1, 1]]
    torch.testing.assert_close(factors, torch.tensor(expected))


def test_compensation_by_hand():
    scores = torch.tensor([[0.2, 0.6, 0.2], [0.001, 0.9, 0.099]])
    factors = build().log_factors(scores.log(), torch.tensor([0, 0]), torch.tensor([7, 7, 7])).exp()
    expected = [[1.0, 9.0, 1.0], [1.0, 90.0**2, 9.9**2]]  # the second's own score counts as 0.01
    torch.testing.assert_close(factors, torch.tensor(expected))


def test_the_step_itself_is_counted():
    loss = build(compensation=0.0)
    logits = torch.zeros(5, C + 2)
    value = loss(logits, torch.tensor([0, 0, 0, 0, 1])).item()
    quarter, least = 0.25**0.8, 0.25**0.8  # class 1 seen once, class 2 as if once
    expected = 4 * math.log(1 + quarter + least) + math.log(3) + 5 * math.log(2)
    assert value == pytest.approx(expected / 5, rel=1e-6)
    assert loss.counts.sum() == 0


def test_objects_times_classes():
    logits = torch.tensor([[0.0, 0.0, 0.0, math.log(3), 0.0]])
    expected = torch.tensor([[0.25, 0.25, 0.25, 0.25]])
    torch.testing.assert_close(build().probabilities(logits), expected)
    assert build().probabilities(torch.randn(4, C + 2)).sum(1).tolist() == pytest.approx([1] * 4)


def test_labels_that_change_in_place_are_counted_as_they_are():
    loss = Seesaw(C, 0.8, 2.0)
    logits, labels = torch.zeros(3, C + 2), torch.tensor([0, 1, 2])
    loss(logits, labels)
    labels.fill_(1)
    loss(logits, labels)
    loss.observe(logits, labels)
    assert loss.counts.tolist() == [0, 3] + [0] * (C - 2)
