"""Forest R-CNN's classifiers of parents, beside that of the classes."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import torch

from bacl.heads import TreeClassifier
from bacl.heads.predictors import NormalisedLinear
from bacl.losses import Forest, SoftmaxCrossEntropy
from tests.levels import training_level

C, D = 4, 6
SHAPES = SimpleNamespace(box_shapes=np.arange(8.0).reshape(4, 2))


def made(**options) -> TreeClassifier:
    return TreeClassifier(D, Forest(C, [3, 2], SHAPES, seed=0), width=5, **options)


def step(features: torch.Tensor):
    return training_level(features, torch.tensor([0, 3, C, 1, C]))


def test_features_learn_from_the_classes_alone():
    classifier = made()
    found, expected = (torch.rand(5, D, requires_grad=True) for _ in range(2))
    expected.data = found.data.clone()
    classifier.loss(step(found)).backward()
    logits = classifier.predictor(expected)
    SoftmaxCrossEntropy(C)(logits, step(expected).labels).backward()
    torch.testing.assert_close(found.grad, expected.grad)
    assert all(each.grad.abs().sum() > 0 for each in classifier.parameters())


def test_the_predictor_is_that_of_classes_and_background():
    assert made().predictor.weight.shape == (C + 1, D)
    other = made(predictor=partial(NormalisedLinear, temperature=20.0))
    assert other.predictor.weight.shape == (C + 1, D)
    assert [tree[-1].out_features for tree in other.trees] == [4, 3]


def test_it_takes_half_precision_and_no_rows():
    classifier, none = made(), torch.zeros(0, dtype=torch.int64)
    assert classifier.loss(training_level(torch.zeros(0, D), none)) == 0
    with torch.autocast("cpu", torch.bfloat16):
        value = classifier.loss(step(torch.rand(5, D).bfloat16()))
    assert value.dtype == torch.float32
    assert value.isfinite()
