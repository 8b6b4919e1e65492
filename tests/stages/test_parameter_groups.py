import pytest
import torch
from torch import nn

from bacl.stages.parameter_groups import clip_each_group, parameter_groups


@pytest.fixture
def parts():
    head = nn.Linear(2, 1)
    head.learning_rate, head.weight_decay = 0.5, None
    frozen = nn.Linear(2, 1).requires_grad_(False)
    return {"detector": nn.Linear(2, 1), "head": head, "frozen": frozen}


def test_a_group_for_each_part_that_trains_with_what_it_asks_for(parts):
    detector, head = parameter_groups(parts)
    assert (detector["name"], set(detector)) == ("detector", {"name", "params"})
    assert (head["name"], head["lr"], set(head)) == ("head", 0.5, {"name", "params", "lr"})
    assert [len(group["params"]) for group in (detector, head)] == [2, 2]


def test_a_part_asks_for_a_weight_decay_of_its_own(parts):
    parts["head"].weight_decay = 0.0  # none at all is an answer too
    detector, head = parameter_groups(parts)
    assert head["weight_decay"] == 0.0
    assert "weight_decay" not in detector


def test_what_is_frozen_inside_a_part_is_left_out(parts):
    parts["detector"].bias.requires_grad_(False)
    (weight,) = parameter_groups(parts)[0]["params"]
    assert weight is parts["detector"].weight


@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
def test_gradients_are_clipped_group_by_group(parts, algorithm):
    optimizer = torch.optim.SGD(parameter_groups(parts), lr=0.1)
    for name, size in (("detector", 0.1), ("head", 40.0)):
        for parameter in parts[name].parameters():
            parameter.grad = torch.full_like(parameter, size)
    clip_each_group(optimizer, 1.0, algorithm)
    # The head's large gradient leaves the detector's alone.
    assert all((p.grad == 0.1).all() for p in parts["detector"].parameters())
    clipped = torch.cat([p.grad.flatten() for p in parts["head"].parameters()])
    expected = 1.0 if algorithm == "value" else 3**-0.5
    torch.testing.assert_close(clipped, torch.full((3,), expected), rtol=1e-5, atol=0)
