import pytest
import torch
from torch import nn

from bacl.detectors.scaled_parameters import ScaledParameters
from bacl.stages.parameter_groups import clip_each_group, parameter_groups
from bacl.stages.schedule import Schedule


@pytest.fixture
def schedule():
    return Schedule(
        optimizer=torch.optim.SGD, epochs=3, learning_rate=0.2, reference_batch=16,
        weight_decay=0.01, milestones=[2], gamma=0.1, warmup_steps=1, warmup_factor=1.0,
    )  # fmt: skip


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


class Layered(nn.Linear):
    """A part whose weight trains at a tenth of its rate."""

    learning_rate = 0.5

    def scaled_parameters(self):
        return [
            ScaledParameters("slow", [self.weight], 0.1, True),
            ScaledParameters("steady", [self.bias], 1.0, False),
        ]


@pytest.fixture
def layered(parts):
    return {"backbone": Layered(2, 1), "detector": parts["detector"]}


def test_what_a_part_trains_otherwise_has_groups_of_its_own(layered, schedule):
    slow, steady, detector = parameter_groups(layered)
    assert (slow["name"], slow["params"]) == ("backbone.slow", [layered["backbone"].weight])
    assert (steady["name"], steady["weight_decay"]) == ("backbone.steady", 0.0)
    assert "weight_decay" not in slow
    assert len(detector["params"]) == 2
    optimizer = schedule.build_optimizer([slow, steady, detector], images_per_step=8)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.5 / 2 * 0.1, 0.5 / 2, 0.2 / 2])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0, 0.01]
    scheduler = schedule.build_scheduler(optimizer, 1)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [rate / 10 for rate in rates]
    )


def test_what_does_not_train_of_a_scaled_group_is_left_out(layered):
    layered["backbone"].weight.requires_grad_(False)
    assert [group["name"] for group in parameter_groups(layered)] == ["backbone.steady", "detector"]


def test_groups_of_one_part_are_clipped_together(layered):
    optimizer = torch.optim.SGD(parameter_groups(layered), lr=0.1)
    for parameter in layered["backbone"].parameters():
        parameter.grad = torch.full_like(parameter, 40.0)
    clip_each_group(optimizer, 1.0, None)
    clipped = torch.cat([p.grad.flatten() for p in layered["backbone"].parameters()])
    torch.testing.assert_close(clipped, torch.full((3,), 3**-0.5), rtol=1e-5, atol=0)


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
