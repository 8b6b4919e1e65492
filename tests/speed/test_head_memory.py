import torch

from bacl.heads import Classifier, FeatureHallucination, Head
from bacl.indicators import ConfusionMatrix, SparseConfusionMatrix
from bacl.losses import FCBL
from bacl.speed.head_memory import HeadMemory, large_matrices

C, D = 5, 8


def head(indicator, size: int = C) -> Head:
    added = FeatureHallucination(size, D, categories=3, samples=2, beta=0.9, seed=0)
    classifier = Classifier(D, FCBL(size, 0.001, indicator, 0.85, 0.7), added)
    return Head({"first": classifier}, {"first": 1.0})


def test_a_head_is_its_weights_and_statistics():
    weights = 4 * (D + 1) * (C + 1)
    matrix = 8 * C * C + 8 * C
    # prototypes and variances; whether a class was seen, and how often it was drawn
    features = 2 * 4 * C * D + C + 8 * C
    found = HeadMemory.of(head(ConfusionMatrix(C)))
    assert (found.weights, found.statistics) == (weights, matrix + features)
    assert found.training == 3 * weights + matrix + features


def test_weights_that_do_not_train_have_neither_gradient_nor_momentum():
    frozen = head(ConfusionMatrix(C))
    frozen.requires_grad_(False)
    found = HeadMemory.of(frozen)
    assert found.training == found.weights + found.statistics


def test_whole_matrices_of_many_classes_are_large():
    with torch.device("meta"):
        heads = {
            "whole": head(ConfusionMatrix(13_204), 13_204),
            "sparse": head(SparseConfusionMatrix(13_204, 1024), 13_204),
            "few": head(ConfusionMatrix(1_203), 1_203),
        }
    assert large_matrices(heads) == ["whole"]
