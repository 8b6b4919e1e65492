from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from bacl.heads import Classifier
from bacl.heads.fasa import FASA
from bacl.losses import Rows, SoftmaxCrossEntropy
from tests.levels import training_level

C, D = 4, 3
COUNTED = SimpleNamespace(instance_counts=[100, 10, 0, 1], frequency=["f", "c", "r", "r"])


def fasa(**options) -> FASA:
    defaults = {"beta": 0.9, "weight": 0.1, "start": 1, "more": 1.1, "less": 0.9, "seed": 0}
    return FASA(C, D, COUNTED, **(defaults | options))


def observe(module: FASA, losses: dict[int, list[float]]) -> None:
    """A step with foreground rows of these losses by class, a background row and an added row."""
    labels = torch.tensor([c for c, own in losses.items() for _ in own] + [C, 0])
    chances = torch.tensor([value for own in losses.values() for value in own] + [2.0, 9.0]).neg()
    logits = ((1 - chances.exp()) / C).log().unsqueeze(1).repeat(1, C + 1)
    logits.scatter_(1, labels.unsqueeze(1), chances.unsqueeze(1))
    level = training_level(torch.rand(len(labels) - 1, D), labels[:-1])
    module.observe(logits, labels, Rows(level.features, nn.Identity(), level, added=1))


def test_probabilities_follow_the_losses_of_groups_from_the_second_epoch_on():
    module = fasa()
    module.begin_epoch(0, 9)
    first = module.probabilities.clone()
    torch.testing.assert_close(first, torch.tensor([0.01, 0.1, 1, 1]).double() / 2.11)
    observe(module, {0: [1.0], 1: [1.0], 2: [0.2, 0.4], 3: [0.6]})
    module.begin_epoch(1, 9)
    assert torch.equal(module.probabilities, first)
    # Rare: mean 0.4 before, 0.5 and 0.1 with means of rows now; the frequent class has no row.
    observe(module, {1: [2.0], 2: [0.5]})
    observe(module, {2: [0.1], 3: [0.5]})
    module.begin_epoch(2, 9)
    factors = torch.tensor([1, 0.9, 1.1, 1.1]).double()
    torch.testing.assert_close(module.probabilities, first * factors)
    observe(module, {0: [0.1], 1: [1.0], 2: [0.9]})
    module.begin_epoch(3, 9)
    factors *= torch.tensor([1, 1.1, 0.9, 0.9]).double()  # still nothing to compare of class 0
    torch.testing.assert_close(module.probabilities, first * factors)


def test_what_it_is_told_again_changes_nothing_and_an_epoch_goes_on_when_resumed():
    module, resumed = fasa(), fasa()
    for epoch in (0, 1):
        module.begin_epoch(epoch, 9)
        observe(module, {1: [1.0 + epoch], 2: [0.5]})
    resumed.load_state_dict(module.state_dict())
    for _ in range(2):
        resumed.begin_epoch(1, 9)
    for each in (module, resumed):
        observe(each, {1: [1.0]})
        each.begin_epoch(2, 9)
    assert resumed.epoch == 2
    torch.testing.assert_close(resumed.state_dict(), module.state_dict(), rtol=0, atol=0)


def level(labels: list[int]) -> tuple[Tensor, Tensor]:
    return training_level(torch.rand(len(labels), D), torch.tensor(labels))


def test_it_draws_one_feature_of_each_class_by_its_probability_from_epoch_start_on():
    module = fasa()
    assert len(module.added(level([0, 1, 3, 3, C]), None)[1]) == 0
    module.begin_epoch(1, 9)
    module.probabilities = torch.tensor([0.2, 0.5, 1.0, 1.0]).double()
    drawn = [module.added(level([C, C]), None) for _ in range(600)]
    times = torch.stack([torch.bincount(labels, minlength=C) for _, labels in drawn])
    assert times.max() == 1
    assert times[:, 3].min() == 1
    assert times[:, 2].max() == 0  # never seen
    share = times.double().mean(dim=0)
    torch.testing.assert_close(share[:2], torch.tensor([0.2, 0.5]).double(), atol=0.06, rtol=0)
    own = torch.cat([features[labels == 3] for features, labels in drawn])
    deviation = module.variances[3].sqrt()
    torch.testing.assert_close(own.mean(dim=0), module.prototypes[3], atol=0.05, rtol=0)
    torch.testing.assert_close(own.std(dim=0), deviation, atol=0.05, rtol=0.2)


def test_its_features_are_those_of_the_sampled_foreground():
    module, step = fasa(beta=0.5), level([0, 3, 0, C])
    module.added(step, None)
    first, last = step.features[[0, 2]], step.features[1]
    torch.testing.assert_close(module.prototypes[0], first.mean(dim=0))
    torch.testing.assert_close(module.variances[0], first.var(dim=0))
    torch.testing.assert_close(module.prototypes[3], last)
    assert module.seen.tolist() == [True, False, False, True]


def test_drawn_features_have_a_loss_of_their_own():
    module = fasa(start=0)
    module.probabilities = torch.ones(C).double()
    head = Classifier(D, SoftmaxCrossEntropy(C), module)
    nn.init.normal_(head.predictor.weight)
    step = level([0, 1, 3, C, C])
    value = head.loss(step)
    twin = fasa(start=0)
    twin.probabilities = torch.ones(C).double()
    features, labels = twin.added(step, None)
    assert labels.tolist() == [0, 1, 3]
    plain = head.criterion(head.predictor(step.features), step.labels)
    added = head.criterion(head.predictor(features), labels)
    torch.testing.assert_close(value, plain + 0.1 * added)
    assert module.rows[0].sum() == 3  # of the sampled rows alone


def test_statistics_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"instance_counts has shape \(4,\), expected \(5,\)"):
        FASA(5, D, COUNTED, 0.9, 0.1, 1, 1.1, 0.9, 0)
