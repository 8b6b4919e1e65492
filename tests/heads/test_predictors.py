import torch

from bacl.heads import Classifier
from bacl.heads.predictors import NormalisedLinear
from bacl.losses import Seesaw
from tests.levels import level, training_level


def test_logits_are_scaled_cosines():
    layer = NormalisedLinear(6, 4, temperature=20)
    features = torch.randn(9, 6)
    cosines = torch.cosine_similarity(features[:, None], layer.weight[None], dim=2)
    torch.testing.assert_close(layer(features), 20 * cosines, rtol=1e-3, atol=1e-3)


def test_length_does_not_matter_but_the_bias_does():
    layer = NormalisedLinear(6, 4, temperature=20)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    features = torch.randn(9, 6)
    before = layer(features)
    layer.weight.data *= 7
    torch.testing.assert_close(layer(3 * features), before, rtol=1e-4, atol=1e-4)
    assert (before - layer.bias).abs().max() <= 20.0001


def test_rows_of_zeros_have_a_finite_gradient():
    layer = NormalisedLinear(3, 2, temperature=20)
    features = torch.zeros(2, 3, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad.isfinite().all()
    assert layer.weight.grad.isfinite().all()
    assert layer(torch.zeros(0, 3)).shape == (0, 2)


def test_head_with_seesaw_and_cosine_classifier():
    head = Classifier(
        6, Seesaw(3, 0.8, 2.0), predictor=lambda d, k: NormalisedLinear(d, k, temperature=20.0)
    )
    labels = torch.tensor([0, 0, 1, 3, 3, 3, 3, 2])
    head.loss(training_level(torch.randn(8, 6), labels)).backward()
    assert head.predictor.weight.shape == (5, 6)
    assert head.predictor.weight.grad.abs().sum() > 0
    assert head.criterion.counts.tolist() == [2, 1, 1]
    features = torch.randn(5, 6)
    assert head.scores(head.predictor(features), level(features)).shape == (5, 4)
