"""What BAGS does beyond the common contract."""

import math
from types import SimpleNamespace

import pytest
import torch

from bacl.losses import BAGS

C, G = 5, 3
COUNTS = SimpleNamespace(instance_counts=[0, 9, 10, 99, 100])


def build(others: float = 2.0) -> BAGS:
    return BAGS(C, [10, 100], others, COUNTS, seed=0)


def test_groups_begin_at_their_boundaries():
    assert build().groups.tolist() == [0, 0, 1, 1, 2]
    assert build().num_logits == C + 2 + G
    assert BAGS(C, [10, 100, 1000], 8, COUNTS, 0).groups.tolist() == [0, 0, 1, 1, 2]


def test_a_group_learns_from_its_rows_and_as_many_drawn_others():
    loss, labels = build(1.5), torch.tensor([0, 1, 1, 2] + [C] * 16)
    inside = torch.zeros(20, G, dtype=torch.bool)
    inside[:3, 0] = inside[3, 1] = True
    draws = loss.uniform((G, 20), labels.device)
    kept = loss.kept(inside, draws)
    assert kept.sum(0).tolist() == [3 + 4, 1 + 1, 0]  # 4.5 and 1.5, rounded down
    assert kept[inside].all()
    drawn = draws[0, 3:].argsort()[:4] + 3
    assert kept[:, 0].nonzero().squeeze(1).tolist() == sorted([0, 1, 2, *drawn.tolist()])


def test_where_others_are_few_all_are_kept():
    kept = build(8).kept(torch.tensor([[True], [False], [True]]), torch.rand(1, 3))
    assert kept.all()


def test_an_even_classifier_by_hand():
    # Groups of two, two and one class and their "others": three, three and two choices.
    value = build(8)(torch.zeros(4, C + 2 + G), torch.tensor([0, C, C, 4]))
    expected = math.log(2) + math.log(3) + math.log(2)  # objects, first group, last group
    assert value.item() == pytest.approx(expected)


def test_scores_are_objects_times_shares_of_the_group():
    logits = torch.zeros(1, C + 2 + G)
    logits[0, C + 1] = math.log(3)  # object
    logits[0, 1], logits[0, C + 2 + 2] = math.log(2), math.log(4)  # class 1, others of class 4
    expected = [0.75 / 4, 0.75 * 2 / 4, 0.75 / 3, 0.75 / 3, 0.75 / 5, 0.25]
    assert build().probabilities(logits)[0].tolist() == pytest.approx(expected)


def test_a_group_without_classes_changes_nothing():
    logits, labels = torch.randn(6, C + 3 + G), torch.tensor([0, 1, 2, 3, 4, C])
    more = BAGS(C, [10, 100, 1000], 8, COUNTS, 0)
    fewer = [*range(C + 2 + G)]
    torch.testing.assert_close(more(logits, labels), build(8)(logits[:, fewer], labels))
