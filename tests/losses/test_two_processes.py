"""A whole head, with feature hallucination, on two processes."""

import torch
from torch import Tensor

from bacl.hallucination import FeatureHallucination
from bacl.heads import ClassifierHead
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL

C, D = 5, 4


def build() -> ClassifierHead:
    hallucination = FeatureHallucination(C, D, categories=3, samples=2, beta=0.9, seed=0)
    return ClassifierHead(D, FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7), hallucination)


def shares() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """One step of both processes; the second has neither objects nor foreground rows."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(8, D, generator=generator)
    jittered = torch.rand(32, D, generator=generator)
    labels, background = torch.tensor([0, 0, 4, C]), torch.full((4,), C)
    jittered_labels = torch.tensor([0, 4]).repeat_interleave(16)
    none = torch.zeros(0, dtype=torch.int64)
    return [
        (features[:4], labels, jittered, jittered_labels),
        (features[4:], background, jittered[:0], none),
    ]


def train(rank: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    head = build()
    for _ in range(3):
        head.loss(*shares()[rank])
    features, labels = head.hallucination.generate(torch.zeros(C))
    return head.state_dict(), features, labels


def observe_half(rank: int) -> dict[str, Tensor]:
    module = build().hallucination
    features, labels = observed()
    module.observe(features[rank::2], labels[rank::2])
    module.observe(features[: 7 * rank], labels[: 7 * rank])
    return module.state_dict()


def observed() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(60, D, generator=generator), torch.randint(4, (60,), generator=generator)


def test_statistics_agree_on_both_processes_and_draws_differ(two_processes):
    (first, features, labels), (second, other, other_labels) = two_processes(train)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first["hallucination.seen"].tolist() == [True, False, False, False, True]
    assert first["criterion.indicator.counts"].sum() >= 3 * 3
    assert features.shape != other.shape or not torch.equal(features, other)
    assert {*labels.tolist(), *other_labels.tolist()} <= {0, 4}


def test_feature_distributions_equal_those_of_one_process(two_processes):
    states = two_processes(observe_half)
    module = build().hallucination
    features, labels = observed()
    module.observe(features, labels)
    module.observe(features[:7], labels[:7])
    assert module.seen.tolist() == [True, True, True, True, False]
    for state in states:
        torch.testing.assert_close(state, module.state_dict())
