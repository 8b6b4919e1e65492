"""Predictors on an inherited classifier that does not train: DisAlign, LWS, nearest class mean."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from bacl.heads import Classifier
from bacl.heads.class_means import NearestClassMean
from bacl.heads.disalign import DisAlign
from bacl.heads.frozen_classifier import OnFrozenClassifier
from bacl.heads.learnable_scales import LearnableScales
from bacl.losses import SoftmaxCrossEntropy
from tests.levels import training_level

C, D = 3, 6
PREDICTORS: dict[str, Callable[[int, int], OnFrozenClassifier]] = {
    "disalign": DisAlign,
    "lws": LearnableScales,
    "ncm": partial(NearestClassMean, scale=20.0),
}
TRAINS = {
    "disalign": {"alpha", "beta", "confidence.weight", "confidence.bias"},
    "lws": {"factors"},
    "ncm": {"scale"},
}


def made(name: str) -> Classifier:
    """A classifier with a base as it may be inherited."""
    classifier = Classifier(D, SoftmaxCrossEntropy(C), predictor=PREDICTORS[name])
    torch.nn.init.normal_(classifier.predictor.base.weight)
    return classifier


def rows() -> tuple[Tensor, Tensor]:
    return torch.rand(6, D), torch.tensor([0, 1, 1, C, C, 0])


@pytest.mark.parametrize("name", PREDICTORS)
def test_it_trains_its_own_parameters_and_leaves_the_base(name):
    classifier = made(name)
    predictor = classifier.predictor
    trains = {n for n, each in predictor.named_parameters() if each.requires_grad}
    assert trains == TRAINS[name]
    before = [each.clone() for each in predictor.base.parameters()]
    optimizer = torch.optim.SGD([p for p in predictor.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        classifier.loss(training_level(*rows())).backward()
        optimizer.step()
    learned = [p for n, p in predictor.named_parameters() if n in trains]
    assert all(parameter.grad.abs().sum() > 0 for parameter in learned)
    assert all(map(torch.equal, predictor.base.parameters(), before))


@pytest.mark.parametrize("name", ["disalign", "lws"])
def test_at_first_it_is_its_base(name):
    predictor, (features, _) = made(name).predictor, rows()
    torch.testing.assert_close(predictor(features), predictor.base(features))


@pytest.mark.parametrize("name", PREDICTORS)
def test_it_takes_half_precision_and_no_rows(name):
    classifier = made(name)
    features, labels = rows()
    level = training_level(features.bfloat16(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        value = classifier.loss(level)
        value.backward()
        scores = classifier.scores(classifier.logits(level.features, level), level)
    assert value.isfinite()
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(6))
    assert classifier.predictor(torch.zeros(0, D)).shape == (0, C + 1)


def test_learnable_scales_are_factors_of_logits():
    predictor, (features, _) = made("lws").predictor, rows()
    predictor.factors.data = torch.tensor([1.0, 2, 0.5, 3])
    expected = predictor.base(features) * torch.tensor([[1.0, 2, 0.5, 3]])
    torch.testing.assert_close(predictor(features), expected)


def test_disalign_starts_with_an_even_confidence():
    predictor = Classifier(400, SoftmaxCrossEntropy(C), predictor=DisAlign).predictor
    assert predictor.confidence.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert predictor.confidence.bias.tolist() == [0.0]


def test_nearest_class_mean_shares_out_what_is_no_background():
    classifier = made("ncm")
    steps = [rows(), (torch.rand(2, D), torch.tensor([1, C]))]
    for features, labels in steps:
        classifier.loss(training_level(features, labels))
    features = torch.cat([step[0] for step in steps])
    labels = torch.cat([step[1] for step in steps])
    means = [features[labels == c].mean(dim=0) for c in (0, 1)]
    given = torch.rand(4, D)
    cosines = [torch.cosine_similarity(given, mean.unsqueeze(0)) for mean in means]
    cosines.append(-torch.ones(4))  # of a class that was not seen
    within = (20 * torch.stack(cosines, dim=1)).softmax(dim=1)
    inherited = classifier.predictor.base(given).softmax(dim=1)
    expected = torch.cat((within * (1 - inherited[:, C:]), inherited[:, C:]), dim=1)
    found = classifier.criterion.probabilities(classifier.predictor(given))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert classifier.predictor.counts.tolist() == [2, 3, 0]


def test_without_any_mean_every_class_scores_alike():
    classifier, (features, _) = made("ncm"), rows()
    scores = classifier.criterion.probabilities(classifier.predictor(features))
    torch.testing.assert_close(scores[:, 0], scores[:, 1])
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(6))
