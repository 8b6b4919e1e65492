"""What ROG and its ranking error do beyond the common contract."""

import pytest
import torch
from torch import Tensor

from bacl.heads import Classifier, FeatureHallucination
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, ROG, Seesaw, SoftmaxCrossEntropy, ranking_error
from tests.losses.rows import rows_of

C = 4


def by_pairs(logits: Tensor, labels: Tensor, weights: Tensor, delta: float):
    """Value and gradient from a table of all pairs."""
    classes = torch.arange(logits.shape[1])
    negative = (labels[:, None] != classes).flatten()
    rows = (labels < logits.shape[1]).nonzero()[:, 0]
    own, flat = labels[rows], logits.flatten()

    def smooth(above: Tensor, logit: Tensor) -> Tensor:
        return ((above - logit[:, None]) / (2 * delta) + 0.5).clamp(0, 1)

    u = logits[rows, own]
    false = smooth(flat, u) * negative
    same = own[:, None] == own
    rank = false.sum(1) + (smooth(u, u) * same).sum(1)
    part = 1 / (same.sum(1) * len(own.unique()))
    gradient = ((part * weights[own] / rank)[:, None] * false).sum(0).view(logits.shape)
    gradient[rows, own] = -part * weights[own] * false.sum(1) / rank
    return (part * false.sum(1) / rank).sum(), gradient


@pytest.mark.parametrize("delta", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("at_once", [1, 7, 1024])
def test_it_is_the_table_of_all_pairs(monkeypatch, delta, at_once):
    monkeypatch.setattr(ranking_error, "ROWS_AT_ONCE", at_once)
    labels = torch.randint(12, (60,))
    logits = (3 * torch.randn(60, 9)).double().requires_grad_()
    labels = labels.clamp(max=9)
    weights = torch.rand(9).double()
    value = ranking_error.ranking_error(logits, labels, weights, delta)
    value.backward()
    expected, gradient = by_pairs(logits.detach(), labels, weights, delta)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(logits.grad, gradient)


def test_equal_logits_count_half():
    # One row: itself and three negatives of rank one half.
    logits, labels = torch.zeros(1, C, requires_grad=True), torch.tensor([2])
    value = ranking_error.ranking_error(logits, labels, torch.ones(C).double(), 0.5)
    value.backward()
    assert value.item() == pytest.approx(1.5 / 2)
    assert logits.grad[0].tolist() == pytest.approx([0.25, 0.25, -0.75, 0.25])


def test_a_perfect_ranking_has_neither_error_nor_gradient():
    logits = (5 * torch.eye(C + 1)[:, :C]).requires_grad_()
    value = ranking_error.ranking_error(logits, torch.arange(C + 1), torch.ones(C).double(), 0.5)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_the_gradient_alone_follows_weight_and_samples():
    logits, labels = torch.zeros(1, C, requires_grad=True), torch.tensor([2])
    loss = ROG(SoftmaxCrossEntropy(C), weight=0.1, gamma=0.5, delta=0.5)
    loss.samples.copy_(torch.tensor([1, 1, 4, 1]))
    value = loss.error(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(0.75)
    share = (1 / 2) / (3.5 / 4)  # of mean 1
    assert logits.grad[0, 2].item() == pytest.approx(-0.75 * 0.1 * share)


def test_samples_are_counted_after_the_step():
    loss = ROG(Seesaw(C, 0.8, 2.0), 0.1, 1.0, 0.5)
    logits, labels = torch.zeros(5, C + 2), torch.tensor([0, 0, 2, C, C])
    loss.observe_step(logits, labels, rows_of(logits, labels))
    assert loss.samples.tolist() == [3, 1, 2, 1]
    assert loss.base.counts.tolist() == [2, 0, 1, 0]


def test_the_other_losss_indicator_serves_the_head():
    loss = ROG(FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7), 0.1, 1.0, 0.5)
    hallucination = FeatureHallucination(C, 3, categories=2, samples=2, beta=0.9, seed=0)
    classifier = Classifier(3, loss, hallucination)
    assert classifier.criterion.indicator is loss.base.indicator
    names = [name for name, _ in classifier.named_buffers() if name.startswith("criterion")]
    expected = ["samples", "base.indicator.numerator", "base.indicator.counts"]
    assert names == [f"criterion.{name}" for name in expected]
