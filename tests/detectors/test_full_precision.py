"""Last layers and RoI features are computed in float32 under autocast."""

import pytest
import torch
from torch import nn

from bacl.detectors.box_head import BoxHead
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.full_precision import in_float32, precisely
from bacl.heads import Classifier
from bacl.losses import BinaryCrossEntropy


def under_autocast(function, *values):
    with torch.autocast("cpu", torch.bfloat16):
        return function(*values)


def test_a_layer_gives_under_autocast_what_it_gives_without():
    layer, rows = nn.Linear(16, 4), torch.randn(5, 16)
    found = under_autocast(precisely, layer, rows)
    assert found.dtype == torch.float32
    assert torch.equal(found, layer(rows))
    after = under_autocast(lambda: (precisely(layer, rows), layer(rows))[1])
    assert after.dtype == torch.bfloat16  # autocast goes on behind it


def test_half_precision_becomes_float32_and_all_else_stays():
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert in_float32(torch.ones(2, dtype=dtype)).dtype == expected
    numbers = torch.tensor([1, 0])
    kept = precisely(lambda rows, index: rows[index], torch.tensor([1.0, 2]).bfloat16(), numbers)
    assert kept.tolist() == [2, 1]
    assert kept.dtype == torch.float32


def test_gradients_come_back_in_the_precision_of_what_was_given():
    layer, rows = nn.Linear(16, 4), torch.randn(5, 16).bfloat16().requires_grad_()
    under_autocast(precisely, layer, rows).sum().backward()
    assert rows.grad.dtype == torch.bfloat16
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(layer.weight.grad[0], rows.detach().float().sum(0))


@pytest.mark.parametrize("agnostic", [False, True])
def test_deltas_logits_and_features_are_float32(agnostic):
    features = torch.rand(6, 8)
    regression = BoxRegression(8, 3, BoxCoder((1, 1, 1, 1)), class_agnostic=agnostic)
    assert torch.equal(under_autocast(regression, features), regression(features))
    classifier = Classifier(8, BinaryCrossEntropy(3, 0.001))
    logits = under_autocast(classifier.logits, features, None)
    assert torch.equal(logits, classifier.logits(features, None))
    head = BoxHead(2, 2, 8, 2)
    encoded = under_autocast(head, torch.rand(3, 2, 2, 2))
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded, encoded.bfloat16().float())  # but for that, autocast's


def test_a_constant_shift_of_rounded_biases_is_gone():
    """bf16 has no number between -6.90625 and -6.9375: all logits of a class were off alike."""
    classifier = Classifier(4, BinaryCrossEntropy(2, 0.001))
    nn.init.constant_(classifier.predictor.bias, -6.92)
    logits = under_autocast(classifier.logits, torch.zeros(2, 4), None)
    assert logits.unique().tolist() == pytest.approx([-6.92], abs=1e-6)
