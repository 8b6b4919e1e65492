"""What FCBL does beyond the common contract."""

import math

import pytest
import torch

from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, BinaryCrossEntropyWithObjectness

C = 3
FOREGROUND = torch.tensor([[2.0, -1.0, 1.0, -3.0]])


def build(alpha: float = 0.85, threshold: float = 0.7, **switches: bool) -> FCBL:
    return FCBL(C, 0.001, ConfusionMatrix(C), alpha, threshold, **switches)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_without_margin_and_weight_it_is_bce_with_objectness():
    loss = build(margin=False, weight=False)
    loss.observe(torch.randn(20, C + 1), torch.randint(C, (20,)))
    logits, labels = torch.randn(9, C + 1), torch.randint(C + 1, (9,))
    expected = BinaryCrossEntropyWithObjectness(C, 0.001)(logits, labels)
    assert torch.equal(loss(logits, labels), expected)


def test_alpha_zero_is_no_margin():
    loss, without = build(alpha=0.0), build(margin=False)
    loss.observe(torch.randn(20, C + 1), torch.randint(C, (20,)))
    logits, labels = torch.randn(9, C + 1), torch.randint(C + 1, (9,))
    torch.testing.assert_close(loss(logits, labels), without(logits, labels))


def test_fresh_indicator_gives_no_margin():
    logits, labels = torch.randn(9, C + 1), torch.randint(C + 1, (9,))
    torch.testing.assert_close(build()(logits, labels), build(margin=False)(logits, labels))


def test_pairwise_margins_are_those_of_rows_of_each_class():
    loss = build()
    loss.observe(torch.randn(20, C + 1), torch.randint(C, (20,)))
    every = torch.arange(C)
    expected = 0.85 * loss.indicator.log_ratio(every)
    torch.testing.assert_close(loss.pairwise_margins(every), expected)
    torch.testing.assert_close(loss.pairwise_margins(every[1:]), expected[1:])
    assert not expected.diagonal().any()
    assert build(margin=False).pairwise_margins(every) is None


def test_background_rows_are_plain_bce():
    loss = build()
    loss.observe(torch.randn(20, C + 1), torch.randint(C, (20,)))
    logits, labels = torch.randn(5, C + 1), torch.full((5,), C)
    expected = BinaryCrossEntropyWithObjectness(C, 0.001)(logits, labels)
    torch.testing.assert_close(loss(logits, labels), expected)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        # p = (0.6, 0.8, 0.5), own class 0, threshold 0.7: 1 is misclassified and overconfident.
        ({}, [1, 1, 0, 1]),
        ({"overconfident": False}, [1, 1, 0, 1]),
        ({"misclassified": False}, [1, 1, 0, 1]),
    ],
)
def test_weights_of_a_misclassified_row(switches, expected):
    logits = torch.tensor([[logit(0.6), logit(0.8), logit(0.5), -30.0]])
    assert build(**switches).weights(logits, torch.tensor([0])).tolist() == [expected]


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        # p = (0.9, 0.8, 0.5), own class 0: class 1 is overconfident only.
        ({}, [1, 1, 0, 1]),
        ({"overconfident": False}, [1, 0, 0, 1]),
        ({"misclassified": False}, [1, 1, 0, 1]),
    ],
)
def test_weights_of_a_correct_row(switches, expected):
    logits = torch.tensor([[logit(0.9), logit(0.8), logit(0.5), -30.0]])
    assert build(**switches).weights(logits, torch.tensor([0])).tolist() == [expected]


def test_own_class_counts_below_the_threshold():
    loss = build(misclassified=False)
    logits = torch.tensor([[-5.0, -5.0, -5.0, -5.0]])
    assert loss.weights(logits, torch.tensor([1])).tolist() == [[0, 1, 0, 1]]


def test_weight_uses_probabilities_with_background():
    # Class 1 is 0.8 alone, but 0.4 with a background of 0.5: no longer overconfident.
    logits = torch.tensor([[logit(0.9), logit(0.8), logit(0.5), 0.0]])
    assert build().weights(logits, torch.tensor([0])).tolist() == [[1, 0, 0, 1]]


def test_ties_and_certain_background_keep_the_loss():
    tie = torch.tensor([[1.0, 1.0, 0.0, -3.0]])
    assert build().weights(tie, torch.tensor([0])).tolist() == [[1, 1, 0, 1]]
    certain = torch.tensor([[1.0, -1.0, 0.0, 200.0]])
    assert build().weights(certain, torch.tensor([0])).tolist() == [[1, 1, 1, 1]]


def test_a_score_at_the_threshold_is_overconfident():
    # p = (0.88, 0.5, 0.4995) without background: halves are exact, and the threshold is one.
    logits = torch.tensor([[2.0, 0.0, -0.002, -200.0]])
    weights = build(threshold=0.5).weights(logits, torch.tensor([0]))
    assert weights.tolist() == [[1, 1, 0, 1]]


def test_weights_carry_no_gradient_and_ignore_margins():
    # A margin that would lift class 1 over class 0 does not change its weight of 0.
    loss = build(alpha=100.0)
    loss.indicator.numerator[0, 1] = loss.indicator.counts[0] = 1
    logits = FOREGROUND.clone().requires_grad_()
    loss(logits, torch.tensor([0])).backward()
    assert logits.grad[0, 1] == 0


def test_strong_competitor_is_suppressed_harder():
    # Class 0 is often taken for 1, never the other way: rows of 0 suppress 1 more, rows of 1 less.
    loss = build(weight=False)
    loss.indicator.counts.fill_(10)
    loss.indicator.numerator[0, 1], loss.indicator.numerator[1, 0] = 5.0, 0.5
    plain = build(margin=False, weight=False)
    gradients = []
    for one in (loss, plain):
        logits = torch.zeros(2, C + 1, requires_grad=True)
        one(logits, torch.tensor([0, 1])).backward()
        gradients.append(logits.grad)
    ours, theirs = gradients
    assert ours[0, 1] > theirs[0, 1]
    assert ours[1, 0] < theirs[1, 0]
    expected = 1 / (1 + math.exp(-0.85 * math.log(10))) / 2
    assert ours[0, 1].item() == pytest.approx(expected, rel=1e-6)


def test_margin_is_bounded_by_the_floor():
    loss = build()
    loss.indicator.counts.fill_(1)
    loss.indicator.numerator[0, 1] = 1.0
    largest = loss.indicator.log_ratio(torch.tensor([0, 1]))
    assert largest.max().item() == pytest.approx(math.log(1000), rel=1e-6)
    assert largest.min().item() == pytest.approx(-math.log(1000), rel=1e-6)


def test_renaming_classes_renames_gradients():
    order = torch.tensor([2, 0, 1])
    columns = torch.cat([order, torch.tensor([C])])
    logits, labels = torch.randn(30, C + 1), torch.randint(C + 1, (30,))
    renamed = torch.argsort(torch.cat([order, torch.tensor([C])]))[labels]
    gradients = []
    for z, y in ((logits, labels), (logits[:, columns], renamed)):
        loss = build()
        loss.observe(z, y)
        leaf = z.clone().requires_grad_()
        loss(leaf, y).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0][:, columns], gradients[1])


def test_weight_term_without_any_line_is_refused():
    with pytest.raises(ValueError, match="set weight to false"):
        build(misclassified=False, overconfident=False)
    build(weight=False, misclassified=False, overconfident=False)
