from types import SimpleNamespace

import torch
from torch import nn

from bacl.detectors.levels import TrainingLevel
from bacl.heads.object_memory import ObjectMemory
from bacl.heads.weight_norm_cosine import WeightNormCosine
from tests.levels import training_level

C, D = 4, 3
COUNTED = SimpleNamespace(image_counts=[100, 30, 31, 0])


def memory() -> ObjectMemory:
    """Of classes 1 and 3."""
    return ObjectMemory(C, D, COUNTED, few=30, size=3, recent=2)


def step(*labels: int) -> TrainingLevel:
    return training_level(torch.rand(len(labels), D), torch.tensor(labels, dtype=torch.int64))


def test_classes_of_few_images_that_occur_are_shown_from_earlier_steps():
    module = memory()
    first, second, third = step(0, 1, 3, 1, 2, C, 1), step(1, C, 1), step(1, 3, 0, C)
    assert len(module.added(first, None)[1]) == 0  # shown first, remembered then
    assert module.memory.filled().tolist() == [0, 3, 0, 1]
    features, labels = module.added(second, None)
    assert labels.tolist() == [1, 1]
    assert torch.equal(features, first.features[[6, 3]])  # the latest of class 1
    features, labels = module.added(third, None)
    assert labels.tolist() == [1, 1, 3]
    assert torch.equal(features[:2], second.features[[2, 0]])
    assert torch.equal(features[2], first.features[2])
    assert not features.requires_grad


def test_steps_without_such_classes_or_rows_show_nothing_and_lose_nothing():
    module = memory()
    module.added(step(1, 3), None)
    for labels in ((0, 2, C), ()):
        features, shown = module.added(step(*labels), None)
        assert features.shape == (0, D)
        assert shown.shape == (0,)
    assert module.memory.filled().tolist() == [0, 1, 0, 1]


def test_it_continues_from_a_checkpoint():
    module, resumed = memory(), memory()
    module.added(step(1, 3, 1), None)
    resumed.load_state_dict(module.state_dict())
    later = step(1, 1, 3)
    assert all(map(torch.equal, module.added(later, None), resumed.added(later, None)))
    torch.testing.assert_close(resumed.state_dict(), module.state_dict(), rtol=0, atol=0)


def test_the_classifier_is_torchs_weight_norm_on_unit_features():
    made = WeightNormCosine(D, C + 1, factor=48.0)
    made.initialise(nn.init.zeros_)
    made.lengths.data = torch.rand(C + 1)
    reference = nn.utils.parametrizations.weight_norm(nn.Linear(D, C + 1, bias=False))
    reference.parametrizations.weight.original0.data = made.lengths.data.unsqueeze(1)
    reference.parametrizations.weight.original1.data = made.weight.data
    features = torch.rand(6, D)
    unit = features / (features.norm(dim=1, keepdim=True) + 1e-5)
    torch.testing.assert_close(made(features), 48 * reference(unit))
    made(torch.zeros(2, D, requires_grad=True)).sum().backward()
    assert made.weight.grad.isfinite().all()


def test_the_classifier_starts_as_a_linear_layer_does():
    made = WeightNormCosine(1000, 5, factor=48.0)
    made.initialise(nn.init.zeros_)
    torch.testing.assert_close(made.lengths, torch.full((5,), 3**-0.5), atol=0.02, rtol=0)
    torch.testing.assert_close(made.lengths, made.weight.norm(dim=1))
