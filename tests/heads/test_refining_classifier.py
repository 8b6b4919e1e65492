"""A head that classifies several times, each after refining its RoIs: PCB's."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.heads import FeatureHallucination, RefiningClassifier
from bacl.heads.refinement import Refinement
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, PCB, ROG, SoftmaxCrossEntropy
from tests.levels import training_level

C, D, SIDE, CHANNELS = 3, 6, 2, 4


def made(loss: nn.Module | None = None, weights: tuple[float, ...] = (0.2, 0.2, 0.6)):
    loss = loss or SoftmaxCrossEntropy(C)
    return RefiningClassifier(D, loss, C, True, CHANNELS, SIDE, width=5, weights=weights, seed=3)


def moved(classifier: RefiningClassifier) -> RefiningClassifier:
    """With a refinement that does something."""
    generator = torch.Generator().manual_seed(1)
    for parameter in classifier.refinement.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return classifier


def step():
    """A level of RoIs of several cells, with an extractor of its own."""
    generator = torch.Generator().manual_seed(0)
    pooled = torch.rand(6, CHANNELS, SIDE, SIDE, generator=generator, requires_grad=True)
    encode = nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * SIDE * SIDE, D), nn.ReLU())
    regress = nn.Linear(D, 4)
    plain = training_level(encode(pooled), torch.tensor([0, 1, C, 2, C, 0]))
    return replace(plain, pool=lambda: pooled, encode=encode, regress=regress)


def plain_iterations(classifier: RefiningClassifier, own) -> list[Tensor]:
    """Logits of three iterations, written down."""
    refinement, pooled, features = classifier.refinement, own.pooled, own.features
    found = [classifier.predictor(features)]
    for _ in range(2):
        factors = 1 + refinement.factors(own.regress(features))
        shifts = refinement.shifts(found[-1])
        rois = zip(pooled, factors, shifts, strict=True)
        pooled = torch.stack([roi * f.view(SIDE, SIDE) + s[:, None, None] for roi, f, s in rois])
        features = own.encode(pooled)
        found.append(classifier.predictor(features))
    return found


def test_loss_and_scores_are_those_of_the_iterations():
    classifier, own = moved(made()), step()
    expected = plain_iterations(classifier, own)
    losses = [functional.cross_entropy(logits, own.labels) for logits in expected]
    total = 0.2 * losses[0] + 0.2 * losses[1] + 0.6 * losses[2]
    torch.testing.assert_close(classifier.loss(own), total)
    logits = classifier.eval().logits(own.features, own)
    torch.testing.assert_close(logits, expected[2])
    assert not torch.allclose(expected[0], expected[2])


def test_at_first_refinement_changes_nothing():
    pooled = torch.rand(5, CHANNELS, SIDE, SIDE)
    refinement = Refinement(4, C + 1, CHANNELS, SIDE, 7)
    assert torch.equal(refinement(pooled, torch.rand(5, 4), torch.rand(5, C + 1)), pooled)


def test_everything_but_the_box_regression_learns():
    classifier, own = moved(made()), step()
    classifier.loss(own).backward()
    learning = [*classifier.parameters(), *own.encode.parameters(), own.pooled]
    assert all(each.grad.abs().sum() > 0 for each in learning)
    assert all(each.grad is None for each in own.regress.parameters())


def test_the_loss_is_told_of_the_iterations_and_sees_each():
    loss = PCB(C, alpha=0.4, decay=0.9, deferred=0.5)
    loss.begin_epoch(1, 2)
    shares = []
    loss.register_forward_pre_hook(lambda *_: shares.append(loss.share))
    classifier, own = moved(made(loss)), step()
    expected = PCB(C, alpha=0.4, decay=0.9, deferred=0.5)
    for logits in plain_iterations(classifier, own):
        expected.observe(logits.detach(), own.labels)
    classifier.loss(own)
    assert shares == [0, 0.5, 1]
    torch.testing.assert_close(loss.matrix, expected.matrix)


def test_a_single_iteration_is_the_last_and_has_soft_targets():
    loss, own = PCB(C, alpha=0.4, decay=0.9, deferred=0.0), step()
    loss.begin_epoch(0, 2)
    classifier = made(loss, weights=(1.0,))
    logits = classifier.predictor(own.features)
    expected = loss(logits, own.labels)  # of a classifier that does not refine
    torch.testing.assert_close(classifier.loss(own), expected)
    assert not torch.allclose(expected, functional.cross_entropy(logits, own.labels))
    assert loss.share == 1


@pytest.mark.parametrize(("deferred", "epochs", "first"), [(0.5, 4, 2), (0.75, 4, 3), (0.7, 4, 3)])
def test_soft_targets_begin_with_the_epoch_before_which_the_share_has_passed(
    deferred, epochs, first
):
    loss = PCB(C, alpha=0.4, decay=0.9, deferred=deferred)
    found = []
    for epoch in range(epochs):
        loss.begin_epoch(epoch, epochs)
        found.append(loss.balanced)
    assert found == [epoch >= first for epoch in range(epochs)]


def test_evaluation_moves_nothing_and_a_single_iteration_is_a_plain_classifier():
    classifier, own = made(PCB(C, 0.4, 0.9, 0.5), weights=(1.0,)).eval(), step()
    expected = functional.cross_entropy(classifier.predictor(own.features), own.labels)
    torch.testing.assert_close(classifier.loss(own), expected)
    assert classifier.criterion.matrix.sum() == 0


def test_it_takes_half_precision_and_no_rois():
    classifier, none = moved(made()), torch.zeros(0, dtype=torch.int64)
    empty = replace(
        step(), features=torch.zeros(0, D), pool=lambda: torch.zeros(0, CHANNELS, SIDE, SIDE)
    )
    empty.rois = replace(empty.rois, labels=none)
    value = classifier.loss(empty)
    value.backward()
    assert value == 0
    with torch.autocast("cpu", torch.bfloat16):
        value = classifier.loss(step())
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()


def test_added_features_are_refused():
    loss = FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7)
    added = FeatureHallucination(C, D, 3, 4, 0.9, seed=0)
    with pytest.raises(ValueError, match=r"fhm@head.hallucination=none"):
        RefiningClassifier(D, loss, C, True, CHANNELS, SIDE, 5, [1.0], added)


def test_a_loss_within_another_is_told_of_the_iterations_too():
    inner = PCB(C, alpha=0.4, decay=0.9, deferred=0.0)
    loss = ROG(inner, weight=0.1, gamma=1.0, delta=0.5)
    shares = []
    inner.register_forward_pre_hook(lambda *_: shares.append(inner.share))
    moved(made(loss)).loss(step())
    assert shares == [0, 0.5, 1]
