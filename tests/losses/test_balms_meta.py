"""What the meta re-weighter of BALMS does beyond the common contract."""

import pytest
import torch
from torch import Tensor, nn

from bacl.heads import Classifier, FeatureHallucination
from bacl.losses import ROG, MetaBalancedSigmoid, Rows, SoftmaxCrossEntropy
from bacl.losses.adam import Adam
from bacl.messages.errors import OptionError
from tests.levels import training_level
from tests.losses.counts import COUNTS
from tests.losses.plain import meta_gradient

C, D = 4, 5


def made(rate: float = 0.1) -> MetaBalancedSigmoid:
    loss = MetaBalancedSigmoid(C, 0.001, rate, inner_rate=0.3, statistics=COUNTS)
    loss.weights.value.copy_(torch.tensor([0.5, -1, 2, 0]))
    return loss


def step(labels: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Rows]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(len(labels), D, generator=generator).double()
    logits = torch.randn(len(labels), C, generator=generator).double()
    level = training_level(features, torch.tensor(labels))
    return logits, level.labels, Rows(features, nn.Linear(D, C), level, 0)


@pytest.mark.parametrize("labels", [[0, 0, 1, 2, C, C, C], [3, 3, 1], [2, C]])
def test_its_gradient_is_that_of_automatic_differentiation(labels):
    loss, (logits, labels, rows) = made(), step(labels)
    _, of_step = loss._moved(logits, labels, rows)
    found = loss.meta_gradient(logits, labels, rows.features, of_step)
    torch.testing.assert_close(found, meta_gradient(loss, logits, labels, rows.features))


def test_a_class_that_is_neglected_comes_to_weigh_more():
    """Rows of one class are many, those of the other one, and both are told apart by a feature."""
    loss = MetaBalancedSigmoid(C, 0.001, 0.1, inner_rate=1.0, statistics=COUNTS)
    labels = torch.tensor([0] * 9 + [1])
    features = torch.eye(2)[labels]
    rows = Rows(features, nn.Linear(2, C), training_level(features, labels), 0)
    for _ in range(5):
        loss.observe_step(torch.full((10, C), -2.0), labels, rows)
    assert loss.weights.value[1] > loss.weights.value[0]
    assert loss.weights.value[2:].tolist() == [0, 0]


def test_a_step_without_objects_leaves_all_as_it_is():
    loss = made()
    loss.observe_step(*step([0, 1, C]))
    before = {name: each.clone() for name, each in loss.named_buffers()}
    loss.observe_step(*step([C, C]))
    torch.testing.assert_close(dict(loss.named_buffers()), before, rtol=0, atol=0)


def test_adam_is_torchs():
    ours, theirs = Adam(3, 0.05), nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = torch.optim.Adam([theirs], lr=0.05)
    for number in range(4):
        theirs.grad = torch.tensor([1.0, -0.3, 0.01]).double() * (number - 1.5)
        optimizer.step()
        ours.keep(ours.moved(theirs.grad, torch.tensor(True)))
    torch.testing.assert_close(ours.value, theirs.data)


@pytest.mark.parametrize("wrapped", [False, True])
def test_added_features_with_a_loss_of_their_own_are_refused(wrapped):
    added = FeatureHallucination(C, D, 3, 4, 0.9, seed=0)
    added.reads_indicator, added.weight = False, 0.1
    loss = ROG(made(), weight=0.1, gamma=1.0, delta=0.5) if wrapped else made()
    with pytest.raises(OptionError, match="learns from all rows of a step at once"):
        Classifier(D, loss, added)
    Classifier(D, SoftmaxCrossEntropy(C), added)
    added.weight = None
    Classifier(D, loss, added)
