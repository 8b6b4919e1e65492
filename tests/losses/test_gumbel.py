"""What the losses of Gumbel activations do beyond the common contract."""

import math

import pytest
import torch
from torch import nn

from bacl.losses import GOL, GumbelCrossEntropy
from tests.losses.counts import COUNTS

C = 4


@pytest.mark.parametrize("loss", [GumbelCrossEntropy(C), GOL(C, 0.01, COUNTS, seed=0)])
def test_every_class_starts_as_improbable(loss):
    predictor = nn.Linear(5, loss.num_logits)
    loss.initialise(predictor)
    assert (predictor.weight == 0.001).all()
    probabilities = loss.probabilities(predictor(torch.zeros(1, 5)))[0, : loss.num_logits]
    expected = torch.full((loss.num_logits,), math.exp(-math.exp(2)))
    torch.testing.assert_close(probabilities, expected)


def test_logits_beyond_the_range_have_no_gradient():
    logits = torch.tensor([[-4.5, 10.5, 0.0, 1.0, -2.0]], requires_grad=True)
    GumbelCrossEntropy(C)(logits, torch.tensor([1])).backward()
    assert logits.grad[0, :2].tolist() == [0, 0]
    assert (logits.grad[0, 2:] > 0).all()


def test_a_huge_loss_is_clamped_in_cross_entropy_alone():
    logits, labels = torch.full((1, C + 1), -3.9), torch.tensor([0])
    assert GumbelCrossEntropy(C)(logits, labels) == 20
    value = GOL(C, 0.01, COUNTS, seed=0)(logits[:, :C], labels)
    assert value.item() == pytest.approx(math.exp(3.9), rel=1e-5)


def test_scores_are_not_clamped():
    logits = torch.tensor([[-4.2, 12.0, 100.0, -100.0, 0.0]])
    expected = [math.exp(-math.exp(4.2)), math.exp(-math.exp(-12)), 1.0, 0.0, math.exp(-1)]
    found = GumbelCrossEntropy(C).probabilities(logits.double())[0]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
