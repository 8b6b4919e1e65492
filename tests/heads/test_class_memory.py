from collections import deque

import pytest
import torch
from torch import Tensor

from bacl.heads import BoxGenerator
from bacl.heads.class_memory import ClassMemory, features_of_all
from bacl.heads.memory_sampling import MemorySampling
from bacl.indicators import MeanScore
from tests.levels import training_level

C, D, SIZE = 4, 2, 3


def pushed(steps: list[tuple[Tensor, Tensor]]) -> tuple[ClassMemory, list[deque]]:
    """A memory, and plain queues, after the same steps."""
    memory, queues = ClassMemory(C, SIZE, D), [deque(maxlen=SIZE) for _ in range(C)]
    for features, labels in steps:
        memory.push(features, labels)
        for feature, label in zip(features, labels.tolist(), strict=True):
            queues[label].append(feature)
    return memory, queues


@pytest.mark.parametrize("rows", [0, 1, 3, 40])
def test_rings_hold_the_last_features_of_every_class(rows):
    generator = torch.Generator().manual_seed(rows)
    steps = [
        (torch.rand(rows, D, generator=generator), torch.randint(C, (rows,), generator=generator))
        for _ in range(4)
    ]
    memory, queues = pushed(steps)
    assert memory.filled().tolist() == [len(queue) for queue in queues]
    for label, queue in enumerate(queues):
        for age, feature in enumerate(reversed(queue)):
            found = memory.latest(torch.tensor([label]), torch.tensor([age]))
            assert torch.equal(found[0], feature)


def test_it_continues_from_a_checkpoint_and_keeps_half_precision_exactly():
    memory, _ = pushed([(torch.rand(5, D), torch.tensor([0, 1, 1, 1, 1]))])
    resumed = ClassMemory(C, SIZE, D)
    resumed.load_state_dict(memory.state_dict())
    half = torch.rand(2, D).bfloat16()
    for each in (memory, resumed):
        each.push(half, torch.tensor([1, 1]))
    torch.testing.assert_close(resumed.state_dict(), memory.state_dict(), rtol=0, atol=0)
    found = memory.latest(torch.tensor([1, 1]), torch.tensor([1, 0]))
    assert torch.equal(found, half.float())


def test_features_of_one_process_are_its_own():
    features, labels = torch.rand(3, D), torch.tensor([2, 99_999, 0])
    found, theirs = features_of_all(features, labels)
    assert torch.equal(found, features)
    assert torch.equal(theirs, labels)


def sampling(seed: int = 0, **options) -> MemorySampling:
    sizes = {"categories": 50, "samples": 3, "size": SIZE} | options
    return MemorySampling(C, D, **sizes, seed=seed, box_generator=BoxGenerator())


def step(labels: list[int]) -> tuple:
    around = torch.rand(len(labels), D), torch.tensor(labels, dtype=torch.int64)
    return training_level(torch.zeros(0, D), torch.zeros(0, dtype=torch.int64), around)


def scores(*values: float) -> MeanScore:
    indicator = MeanScore(C, 0.9, 0.01)
    indicator.scores = torch.tensor(values, dtype=torch.float64)
    return indicator


def test_weak_classes_are_drawn_by_their_scores_from_what_is_remembered_already():
    module, equal = sampling(categories=1000), scores(0.1, 0.1, 0.2, 0.4)
    level = step([0, 2, 2, 3, 3, 3, 3])
    features, labels = module.added(level, equal)
    assert features.shape == (len(labels), D)
    assert 1 not in labels  # never seen: skipped, not drawn anew
    share = torch.bincount(labels, minlength=C) / 3000
    expected = torch.tensor([10.0, 10, 5, 2.5]) / 27.5
    torch.testing.assert_close(share[[0, 2, 3]], expected[[0, 2, 3]], atol=0.04, rtol=0)
    jittered = level.extra[BoxGenerator()]
    for c in (0, 2, 3):
        own = jittered.features[jittered.labels == c][-SIZE:]
        drawn = features[labels == c].unique(dim=0)
        assert torch.equal(drawn, own.unique(dim=0))  # all that is kept, and nothing else


def test_draws_follow_the_seed_and_continue():
    level, even = step([0, 1, 1, 3]), scores(0.1, 0.1, 0.1, 0.1)
    module, same, other = sampling(), sampling(), sampling(seed=1)
    first = module.added(level, even)
    assert all(map(torch.equal, first, same.added(level, even)))
    assert not torch.equal(first[1], other.added(level, even)[1])
    same.load_state_dict(module.state_dict())
    assert all(map(torch.equal, module.added(level, even), same.added(level, even)))


def test_a_step_without_objects_draws_from_memory_and_an_empty_memory_gives_nothing():
    module, even = sampling(), scores(0.1, 0.1, 0.1, 0.1)
    features, labels = module.added(step([]), even)
    assert features.shape == (0, D)
    assert labels.shape == (0,)
    module.added(step([2]), even)
    assert set(module.added(step([]), even)[1].tolist()) == {2}


def test_scores_of_zero_can_be_drawn():
    weights = sampling().selection_weights(torch.tensor([0.0, 1, 1, 1]))
    assert weights.isfinite().all()
    assert weights[0] > 1e6 * weights[1]
