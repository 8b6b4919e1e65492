"""Heads that are computed together end bit for bit as alone."""

import copy
from collections import Counter

import pytest
import torch
from counting import Operators

from bacl.detectors.levels import TrainingLevel
from bacl.heads import Classifier, FeatureHallucination, Head, together
from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    HardConfusionMatrix,
    MeanScore,
    SparseConfusionMatrix,
)
from bacl.losses import FCBL, BinaryCrossEntropyWithObjectness
from tests.levels import training_level

C, D = 6, 8
LEVELS = ("first", "second")


def bacl(number: int, indicator=ConfusionMatrix, hallucinated=True, **terms) -> Classifier:
    """A classifier of options of its own: α, threshold, β, seed."""
    loss = FCBL(C, 0.001, indicator(C), 0.1 * number, 0.2 + 0.1 * number, **terms)
    added = FeatureHallucination(C, D, 3, 4, beta=0.9 - 0.1 * number, seed=number)
    return Classifier(D, loss, added if hallucinated else None, seed=number)


def mean_score(num_classes: int) -> MeanScore:
    return MeanScore(num_classes, 0.9, 0.5)


def sparse(num_classes: int) -> SparseConfusionMatrix:
    return SparseConfusionMatrix(num_classes, kept=2)


KINDS = {
    "confusion": {},
    "hard confusion": {"indicator": HardConfusionMatrix},
    "sparse confusion": {"indicator": sparse},
    "instances": {"indicator": CumulativeInstances},
    "mean score": {"indicator": mean_score},
    "without hallucination": {"hallucinated": False},
    "without weight": {"weight": False},
    "without margin": {"margin": False},
    "misclassified alone": {"overconfident": False},
    "overconfident alone": {"misclassified": False},
}


def heads(**options) -> dict[str, Head]:
    def head(make, number):
        classifiers = {name: make(2 * number + level) for level, name in enumerate(LEVELS)}
        return Head(classifiers, {"first": 1.0, "second": 0.5})

    def plain(number):
        return Classifier(D, BinaryCrossEntropyWithObjectness(C, 0.001), seed=number)

    made = {f"bacl {number}": head(lambda n: bacl(n, **options), number) for number in range(3)}
    return {"plain": head(plain, 7), **made}


def step(seed: int, rows: int = 14, classes: int = C) -> list[TrainingLevel]:
    """Both levels of a step, whose objects are of the first few classes."""
    draws = torch.Generator().manual_seed(seed)
    levels = []
    for more in range(len(LEVELS)):
        labels = torch.randint(classes + 1, (rows + more,), generator=draws)
        labels[labels == classes] = C
        owners = labels[labels < C].repeat_interleave(16)
        around = torch.rand(len(owners), D, generator=draws), owners
        features = torch.rand(rows + more, D, generator=draws)
        levels.append(training_level(features, labels, around, background=C))
    return levels


STEPS = [(0, 14, 2), (1, 14, 4), (2, 0, C), (3, 14, C), (4, 9, C), (5, 14, C)]
"""At first only some classes are known; a step has no row at all; at last all are known."""


def trained(several: dict[str, Head], losses) -> list[dict[str, torch.Tensor]]:
    """Losses of some steps of SGD."""
    parameters = [each for head in several.values() for each in head.parameters()]
    sgd = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    found = []
    for seed, rows, classes in STEPS:
        values = losses(several, step(seed, rows, classes))
        sgd.zero_grad()
        torch.stack(list(values.values())).sum().backward()
        sgd.step()
        found.append({name: value.detach() for name, value in values.items()})
    return found


def one_by_one(several, levels):
    return {name: head.loss(levels) for name, head in several.items()}


@pytest.fixture
def any_device(monkeypatch):
    monkeypatch.setattr(together, "ALONE_ON", ())


@pytest.mark.parametrize("largest", [2**24, 2 * 26 * (C + 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_each_head_ends_bit_for_bit_as_alone(any_device, monkeypatch, kind, largest):
    monkeypatch.setattr(together, "LARGEST", largest)
    alone = heads(**KINDS[kind])
    beside = copy.deepcopy(alone)
    expected, found = trained(alone, one_by_one), trained(beside, together.losses)
    assert [list(each) for each in found] == [list(each) for each in expected]
    for values, others in zip(found, expected, strict=True):
        assert all(torch.equal(values[name], others[name]) for name in others)
    for name, head in alone.items():
        own, other = head.state_dict(), beside[name].state_dict()
        assert own.keys() == other.keys()
        for key, value in own.items():
            same = torch.equal if isinstance(value, torch.Tensor) else dict.__eq__
            assert same(value, other[key]), (name, key)


def test_heads_of_one_kind_are_computed_together(any_device, monkeypatch):
    sizes = []
    own = FCBL.together.__func__

    def watched(cls, losses, *args):
        sizes.append(len(losses))
        return own(cls, losses, *args)

    monkeypatch.setattr(FCBL, "together", classmethod(watched))
    several = heads()
    several["other"] = heads(weight=False)["bacl 0"]
    several["frozen"] = heads()["bacl 1"].eval()
    together.losses(several, step(0))
    assert Counter(sizes) == {3: 2, 1: 4}  # at both levels
    sizes.clear()
    monkeypatch.setattr(together, "ALONE_ON", ("cpu",))
    together.losses(several, step(0))
    assert set(sizes) == {1}


class Doubled(FCBL):
    """A loss built on another, with a term of its own."""

    def forward(self, logits, labels, rows=None):
        return 2 * super().forward(logits, labels, rows)


class Shifted(FeatureHallucination):
    """Adds other features."""

    def added(self, level, indicator):
        features, labels = super().added(level, indicator)
        return features + 1, labels


@pytest.mark.parametrize("part", [("criterion", Doubled), ("hallucination", Shifted)])
def test_what_a_subclass_says_anew_counts_beside_others_too(any_device, part):
    several = heads()
    for head in several.values():
        for classifier in head.classifiers:
            if classifier.hallucination is not None:
                getattr(classifier, part[0]).__class__ = part[1]
    beside = copy.deepcopy(several)
    expected, found = one_by_one(several, step(0)), together.losses(beside, step(0))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_further_head_adds_fifteen_operators_once_all_classes_are_known(any_device):
    def counted(number: int) -> int:
        several = {f"bacl {k}": Head({"first": bacl(k)}, {"first": 1.0}) for k in range(number)}
        for head in several.values():
            head.classifiers[0].hallucination.seen.fill_(True)
        for seed in range(2):
            for head in several.values():
                head.zero_grad()
            with Operators() as seen:
                losses = together.losses(several, step(seed)[:1])
                torch.stack(list(losses.values())).sum().backward()
        return seen.launched.total()

    two, nine = counted(2), counted(9)
    assert (nine - two) / 7 <= 15


def both_ways(rank: int) -> bool:
    """Whether a process' heads end alike together and alone; the second one sees no object.

    Until all classes are known the processes draw different numbers of them.
    """
    together.ALONE_ON = ()
    alone = heads()
    beside = copy.deepcopy(alone)
    for seed, classes in enumerate((2, 4, C)):
        for several, losses in ((alone, one_by_one), (beside, together.losses)):
            losses(several, step(seed, *((14, classes) if rank == 0 else (0, C))))
    pairs = [(head.state_dict(), beside[name].state_dict()) for name, head in alone.items()]
    values = [(each, other[key]) for own, other in pairs for key, each in own.items()]
    return all(torch.equal(*pair) for pair in values if isinstance(pair[0], torch.Tensor))


def test_so_they_do_on_two_processes(two_processes):
    assert two_processes(both_ways) == [True, True]
