from functools import partial
from math import cos, pi

import pytest
import torch
from torch import nn

from bacl.stages import CosineSchedule, Schedule


def schedule(**changes) -> Schedule:
    options = {
        "optimizer": partial(torch.optim.SGD, momentum=0.9),
        "epochs": 12,
        "learning_rate": 0.02,
        "reference_batch": 16,
        "weight_decay": 1e-4,
        "milestones": (8, 11),
        "gamma": 0.1,
        "warmup_steps": 500,
        "warmup_factor": 0.001,
    }
    return Schedule(**(options | changes))


def rates(plan: Schedule, steps_per_epoch: int, images: int = 16) -> list[float]:
    optimizer = plan.build_optimizer([{"params": nn.Linear(1, 1).parameters()}], images)
    scheduler = plan.build_scheduler(optimizer, steps_per_epoch)
    seen = []
    for _ in range(plan.epochs * steps_per_epoch):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_the_papers_schedule():
    seen = rates(schedule(), steps_per_epoch=100)
    assert seen[0] == pytest.approx(0.02 * 0.001)
    assert seen[250] == pytest.approx(0.02 * (0.001 + 0.999 * 0.5))
    assert seen[500] == pytest.approx(0.02)
    assert seen[799] == pytest.approx(0.02)
    assert seen[800] == pytest.approx(0.002)
    assert seen[1099] == pytest.approx(0.002)
    assert seen[1100] == pytest.approx(0.0002)


def test_drops_are_by_gamma():
    seen = rates(schedule(gamma=0.5, warmup_steps=0, epochs=3, milestones=(1, 2)), 4)
    assert seen == pytest.approx([0.02 * 0.001, *[0.02] * 3, *[0.01] * 4, *[0.005] * 4])


def test_learning_rate_scales_linearly_with_the_batch():
    assert schedule().scaled_learning_rate(2) == pytest.approx(0.0025)
    assert schedule(reference_batch=None).scaled_learning_rate(2) == 0.02


def test_a_run_shorter_than_the_warm_up_warms_up_no_faster():
    seen = rates(schedule(epochs=2, milestones=()), steps_per_epoch=10)
    assert seen == rates(schedule(milestones=()), steps_per_epoch=100)[:20]


def test_weight_decay_reaches_the_optimizer():
    optimizer = schedule().build_optimizer([{"params": nn.Linear(1, 1).parameters()}], 16)
    assert optimizer.param_groups[0]["weight_decay"] == 1e-4
    assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 6, "milestones": (4, 5)}, "warmup_steps=500 of 600 steps in all"),
        ({"warmup_steps": 10, "milestones": (8, 12)}, "milestones=\\[12\\]: training ends before"),
    ],
)
def test_what_comes_too_late_is_told(changes, told):
    with pytest.warns(UserWarning, match=told):
        rates(schedule(**changes), steps_per_epoch=100)


def updated(plan: Schedule, **options) -> tuple[torch.optim.Optimizer, torch.Tensor]:
    """The optimiser after three steps, and the weights it left."""
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    optimizer = plan.build_optimizer([{"params": layer.parameters()}], 16, **options)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return optimizer, layer.weight.detach()


@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), torch.optim.AdamW])
def test_a_fused_optimiser_takes_the_same_steps(optimizer):
    plan = schedule(optimizer=optimizer)
    fused, weights = updated(plan, fused=True)
    plain, expected = updated(plan)
    assert fused.defaults["fused"] is True
    assert not plain.defaults["fused"]
    assert fused.defaults["weight_decay"] == plain.defaults["weight_decay"] == 1e-4
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("said", [{"fused": False}, {"foreach": True}, {"foreach": False}])
def test_an_optimiser_that_says_how_it_steps_is_taken_as_it_is(said):
    optimizer, _ = updated(schedule(optimizer=partial(torch.optim.SGD, **said)), fused=True)
    assert not optimizer.defaults["fused"]
    assert said.items() <= optimizer.defaults.items()


def test_an_optimiser_that_cannot_be_fused_is_taken_as_it_is():
    optimizer, _ = updated(schedule(optimizer=torch.optim.RMSprop), fused=True)
    assert "fused" not in optimizer.defaults


def test_a_cosine_times_the_warm_up():
    kept = ("optimizer", "epochs", "learning_rate", "reference_batch", "weight_decay")
    options = {name: getattr(schedule(epochs=5), name) for name in kept}
    plan = CosineSchedule(**options, warmup_steps=20, warmup_factor=0.1)
    seen = rates(plan, steps_per_epoch=20)
    expected = [
        0.02 * min(1.0, 0.1 + 0.9 * step / 20) * (1 + cos(pi * step / 100)) / 2
        for step in range(100)
    ]
    assert seen == pytest.approx(expected)
    assert seen[0] == pytest.approx(0.002)
    assert 0 < seen[-1] < 1e-5


def test_a_cosine_goes_on_where_its_state_was_saved():
    options = {
        name: getattr(schedule(epochs=3), name)
        for name in ("optimizer", "epochs", "learning_rate", "reference_batch", "weight_decay")
    }
    plan = CosineSchedule(**options, warmup_steps=4, warmup_factor=0.1)
    whole = rates(plan, steps_per_epoch=10)
    optimizer = plan.build_optimizer([{"params": nn.Linear(1, 1).parameters()}], 16)
    scheduler = plan.build_scheduler(optimizer, 10)
    for _ in range(13):
        optimizer.step()
        scheduler.step()
    states = optimizer.state_dict(), scheduler.state_dict()
    again = plan.build_optimizer([{"params": nn.Linear(1, 1).parameters()}], 16)
    resumed = plan.build_scheduler(again, 10)
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    seen = []
    for _ in range(17):
        seen.append(again.param_groups[0]["lr"])
        again.step()
        resumed.step()
    assert seen == whole[13:]
