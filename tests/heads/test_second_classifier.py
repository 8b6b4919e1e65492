"""SimCal's second classifier, and which rows it learns from."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.heads import FeatureHallucination, SecondClassifier
from bacl.losses import BinaryCrossEntropy, BinaryCrossEntropyWithObjectness, SimCal
from bacl.messages.errors import OptionError
from tests.levels import level, training_level

C, D, SIDE, CHANNELS = 3, 6, 2, 4
COUNTS = SimpleNamespace(image_counts=[300, 100, 2], instance_counts=[900, 100, 3])


def made(**options) -> SecondClassifier:
    classifier = SecondClassifier(
        D, SimCal(C, 100, COUNTS, seed=0), CHANNELS, SIDE, layers=2, **options
    )
    nn.init.normal_(classifier.predictor.base.weight)
    nn.init.normal_(classifier.second.weight)
    return classifier


def step(labels: list[list[int]]):
    """RoIs of several images, of these labels."""
    every = [label for image in labels for label in image]
    plain = training_level(torch.rand(len(every), D), torch.tensor(every, dtype=torch.int64))
    pooled = torch.rand(len(every), CHANNELS, SIDE, SIDE)
    return replace(plain, pool=lambda: pooled, boxes=[torch.zeros(len(own), 4) for own in labels])


def kept(loss: SimCal, labels: list[list[int]], draws: Tensor) -> list[bool]:
    at = step(labels)
    return loss.kept(at.images, at.labels, len(labels), draws).tolist()


def test_one_class_of_each_image_is_kept_and_as_many_rows_of_its_background():
    loss = SimCal(C, 100, COUNTS, seed=0)
    labels = [[0, 1, 1, C, C, C], [C, C], [2, 0, C]]
    of_classes = [[0.9, 0.1, 0.0], [0.5] * 3, [0.9, 0.5, 0.5]]
    # Times are -log(1 - draw) times images; those of classes that an image has not do not count.
    of_rows = [0, 0, 0, 0.9, 0.1, 0.5, 0.1, 0.2, 0, 0, 0.7]
    draws = torch.tensor([value for row in of_classes for value in row] + of_rows)
    first, second, third = [0, 1, 1, 0, 1, 1], [0, 0], [1, 0, 1]
    assert kept(loss, labels, draws) == [bool(value) for value in first + second + third]


def test_classes_are_drawn_in_inverse_proportion_to_their_images():
    loss, labels = SimCal(C, 100, COUNTS, seed=0), [[0, 1, C, C]]
    generator = torch.Generator().manual_seed(0)
    rare = [kept(loss, labels, torch.rand(C + 4, generator=generator))[1] for _ in range(600)]
    assert sum(rare) / 600 == pytest.approx(0.75, abs=0.05)  # 1/100 against 1/300


def test_the_second_classifier_learns_and_the_first_stays():
    classifier = made()
    base = [each.clone() for each in classifier.predictor.base.parameters()]
    learning = [each for each in classifier.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    classifier.loss(step([[0, 1, C, C], [2, C, C]])).backward()
    assert all(each.grad.abs().sum() > 0 for each in learning)
    optimizer.step()
    assert all(map(torch.equal, base, classifier.predictor.base.parameters()))
    assert len(learning) == 2 * 2 + 2


def test_loss_is_the_mean_over_kept_rows():
    classifier, at = made(), step([[0, 1, C, C], [2, C, C]])
    draws = classifier.criterion.uniform((2 * C + 7,), torch.device("cpu"))
    rows = classifier.criterion.kept(at.images, at.labels, 2, draws)
    logits = classifier.second(classifier.extractor(at.pooled))
    expected = functional.cross_entropy(logits[rows], at.labels[rows])
    torch.testing.assert_close(classifier.loss(at), expected)
    assert rows.sum() == 4


def test_scores_are_the_second_classifiers_where_instances_are_few():
    classifier = made().eval()
    at = replace(level(torch.rand(5, D)), pool=lambda: torch.ones(5, CHANNELS, SIDE, SIDE))
    scores = classifier.scores(classifier.logits(at.features, at), at)
    first = classifier.predictor.base(at.features).softmax(dim=1)
    second = classifier.second(classifier.extractor(at.pooled)).softmax(dim=1)
    torch.testing.assert_close(scores[:, [0, 1, 3]], first[:, [0, 1, 3]])  # of 900 and 100
    torch.testing.assert_close(scores[:, 2], second[:, 2])


def test_the_first_classifiers_scores_are_those_of_the_loss_it_was_trained_with():
    logits = torch.randn(5, 2 * C + 2, generator=torch.Generator().manual_seed(0))
    loss = SimCal(C, 100, COUNTS, seed=0, first=BinaryCrossEntropyWithObjectness(C, 0.001))
    found, softmax = (each.probabilities(logits) for each in (loss, SimCal(C, 100, COUNTS, seed=0)))
    for row, scores in zip(logits[:, C + 1 :].tolist(), found.tolist(), strict=True):
        background = 1 / (1 + math.exp(-row[C]))
        by_hand = [(1 - background) / (1 + math.exp(-row[c])) for c in (0, 1)]
        assert [*scores[:2], scores[3]] == pytest.approx([*by_hand, background])
    torch.testing.assert_close(found[:, 2], softmax[:, 2])  # the second classifier's
    assert loss.inherited is loss.first


def test_a_first_loss_of_other_logits_is_refused():
    for first in (BinaryCrossEntropy(C, 0.001), SimCal(C, 100, COUNTS, seed=0)):
        with pytest.raises(OptionError, match="and has to be one of 4, for classes and background"):
            SimCal(C, 100, COUNTS, seed=0, first=first)


def test_it_takes_half_precision_and_no_rois():
    classifier = made()
    value = classifier.loss(step([[]]))
    value.backward()
    assert value == 0
    with torch.autocast("cpu", torch.bfloat16):
        value = classifier.loss(step([[0, C], [C]]))
    assert value.dtype == torch.float32
    assert value.isfinite()


def test_added_features_and_other_predictors_are_refused():
    with pytest.raises(ValueError, match="is the inherited classifier"):
        made(predictor=nn.Linear)
    with pytest.raises(ValueError, match=r"fhm@head.hallucination=none"):
        made(hallucination=FeatureHallucination(C, D, 3, 4, 0.9, seed=0))
