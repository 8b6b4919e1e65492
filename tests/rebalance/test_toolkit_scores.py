import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bacl.heads.predictors import NormalisedLinear
from bacl.losses.bce import BinaryCrossEntropy, BinaryCrossEntropyWithObjectness
from bacl.messages.errors import OptionError
from bacl.rebalance.toolkit_scores import SigmoidScores, SoftmaxScores

COUNTS = SimpleNamespace(
    image_counts=torch.tensor([100, 10, 1]), instance_counts=torch.tensor([200, 20, 1])
)
KINDS = [SoftmaxScores, SigmoidScores]


def scores_of(calibration, layer, features):
    logits = calibration.mean([layer(features)], [layer])
    return calibration(logits, None, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tau", "gamma"), [(0.0, 0.0), (1.0, 0.0), (0.0, 0.4), (0.5, 1.0)])
def test_a_folded_layer_scores_by_the_rule_alone_as_the_calibration_does(kind, tau, gamma):
    layer, features = nn.Linear(5, 4), torch.randn(7, 5)
    calibration = kind(3, COUNTS, tau, gamma)
    weight, bias = calibration.fold(layer)
    alone = kind.scored(nn.functional.linear(features, weight, bias))
    torch.testing.assert_close(scores_of(calibration, layer, features), alone)


def test_a_shift_of_a_softmax_is_worked_out_by_hand():
    layer = nn.Linear(1, 4)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    scores = scores_of(SoftmaxScores(3, COUNTS, gamma=1.0), layer, torch.ones(1, 1))
    total = 1 / 100 + 1 / 10 + 1 + 1
    expected = torch.tensor([[0.01 / total, 0.1 / total, 1 / total, 1 / total]])
    torch.testing.assert_close(scores, expected)


def test_rows_divided_by_their_length_are_worked_out_by_hand():
    layer = nn.Linear(2, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0], [6.0, 8.0]]))
        layer.bias.copy_(torch.tensor([0.5, 0.0, 0.0, 0.0]))
    scores = scores_of(SigmoidScores(3, COUNTS, tau=1.0), layer, torch.tensor([[1.0, 0.0]]))
    logits = [3 / 5 + 0.5, 0.0, 0.0]  # a row without length stays
    expected = [1 / (1 + math.exp(-each)) for each in logits] + [0.0]  # no background is told
    torch.testing.assert_close(scores, torch.tensor([expected]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_with_other_logits_is_refused_with_the_mend(kind):
    calibration = kind(3, COUNTS)
    calibration.require_logits(BinaryCrossEntropyWithObjectness(3, 0.1))
    with pytest.raises(OptionError, match=r"has 3 logits.*leave the head"):
        calibration.require_logits(BinaryCrossEntropy(3, 0.1))


def test_a_classifier_that_is_no_linear_layer_is_refused():
    cosine = NormalisedLinear(5, 4, temperature=20.0)
    with pytest.raises(OptionError, match="a NormalisedLinear: leave the head out"):
        SoftmaxScores(3, COUNTS).fold(cosine)


def test_losses_of_other_probabilities_are_scored_by_the_toolkit_alike():
    logits = torch.randn(6, 4)
    calibration = SoftmaxScores(3, COUNTS)
    by_one = calibration(logits, BinaryCrossEntropyWithObjectness(3, 0.1).probabilities, None)
    torch.testing.assert_close(by_one, logits.softmax(dim=1))
