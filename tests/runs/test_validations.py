"""Validations within a stage's training: when there are any, and what is done with the best."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from bacl.assembly import trainer as trainers
from bacl.assembly.build import build_stage
from bacl.assembly.data import open_data
from bacl.assembly.instantiate import instantiate
from bacl.assembly.restored import restore_model
from bacl.checkpoints.handover import Categories, CheckpointError
from bacl.jobs import fit
from bacl.loggers.csv_logger import read_rows
from bacl.messages.errors import OptionError
from bacl.one_pass.plan import can_be_planned
from bacl.runs.validations import best_checkpoint, check_validations, take_best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["validation.take=best"], r"^validation\.take=best: there are no validations"),
        (["validation.patience=2"], r"^validation\.patience=2: there are no validations"),
        (
            ["validation.take=best", "validation.every=99"],
            r"validation\.every=99, but the representation stage has \d+ epochs",
        ),
        (
            [
                *("validation.take=best", "validation.every=2"),
                "stages.representation.schedule.epochs=3",
            ],
            r"validation\.every=2 leaves out the last of the 3 epochs of the representation stage",
        ),
    ],
)
def test_what_needs_validations_is_refused_without_them(tiny, options, message):
    config = tiny(*options)
    schedules = {name: instantiate(node.schedule) for name, node in config.stages.items()}
    with pytest.raises(OptionError, match=message):
        check_validations(config, schedules)


@pytest.mark.parametrize("every", [1, 3, 0.3])
def test_the_last_weights_are_among_those_that_compete(tiny, every):
    config = tiny("validation.take=best", f"validation.every={every}")
    schedules = {
        "representation": SimpleNamespace(epochs=6),
        "classifier": SimpleNamespace(epochs=3),
    }
    check_validations(config, schedules)


def test_jobs_whose_heads_choose_their_steps_train_apart(tiny):
    assert can_be_planned(tiny("validation.every=1"))
    assert not can_be_planned(tiny("validation.every=1", "validation.take=best"))
    assert not can_be_planned(tiny("validation.every=1", "validation.patience=2"))


def test_the_best_weights_without_a_dropped_head_can_be_used(tiny, tmp_path):
    config = tiny("validation.every=1", "stage=classifier")
    categories = Categories.of(open_data(config))
    stage = build_stage(config, "classifier", False)
    stage.dropped = {"bacl"}
    run = SimpleNamespace(stage=stage, categories=categories, folder=tmp_path / "classifier")
    run.folder.mkdir()
    best = best_checkpoint(run, config)
    best._save(best.path)
    restored = restore_model(tiny(f"checkpoint={best.path}"), tmp_path)
    assert list(restored.stage.live_heads) == ["baseline"]


def test_without_a_single_evaluated_validation_a_stage_ends_with_its_last_weights(tiny, tmp_path):
    config = tiny("validation.every=1", "validation.take=best", "stage=representation")
    categories = Categories.of(open_data(config))
    stage = build_stage(config, "representation", False)
    stage.failed_variants.note("representation", "ValueError: no masks here")
    trainer = SimpleNamespace(strategy=SimpleNamespace(barrier=lambda name: None))
    folder = tmp_path / "representation"
    run = SimpleNamespace(stage=stage, categories=categories, folder=folder, trainer=trainer)
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    told = r"no validation of the representation .*no masks here\).* ends with its last weights"
    with pytest.warns(UserWarning, match=told):
        take_best(run, best_checkpoint(run, config), config)
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())
    folder.mkdir()
    best = best_checkpoint(run, config)
    best.best, best.step = 0.5, 3
    with pytest.raises(CheckpointError, match=r"best\.ckpt"):  # there was one: it is lost
        take_best(run, best, config)
    best._save(best.path)
    with torch.no_grad():
        next(iter(stage.detector.parameters())).add_(1)
    take_best(run, best, config)
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())


@pytest.mark.slow
def test_the_best_weights_are_what_a_stage_hands_on(tiny, tmp_path):
    config = tiny(
        *("validation.every=0.5", "validation.take=best", "validation.measure=AP50"),
        *("stage=representation", "stages.representation.schedule.epochs=3"),
    )
    fit.run(config, tmp_path)
    assert (tmp_path / "representation/figures/validations.png").exists()
    folder = tmp_path / "representation"
    best, final = (torch.load(folder / f"{name}.ckpt") for name in ("best", "final"))
    assert all(
        torch.equal(value, final["detector"][key]) for key, value in best["detector"].items()
    )
    values = [
        value
        for _, row in read_rows(folder / "metrics.csv")
        for quantity, value in row.items()
        if (quantity.section, quantity.part) == ("val", "AP50")
    ]
    *within, last = values
    assert len(within) == 6
    assert last == pytest.approx(max(within))  # what is judged at the end is what was the best


class Crash(Callback):
    """A power cut right after this step."""

    def __init__(self, step: int):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyError("the power is out")


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_an_interrupted_training_finds_the_same_best(tiny, tmp_path, monkeypatch, step):
    config = tiny(
        *("validation.every=0.5", "validation.take=best", "validation.patience=3"),
        *("stage=representation", "stages.representation.schedule.epochs=3"),
        "checkpoint_every_minutes=0.0001",
    )
    fit.run(config.copy(), tmp_path / "straight")
    watchers = trainers.callbacks
    monkeypatch.setattr(trainers, "callbacks", lambda *args: [*watchers(*args), Crash(step)])
    with pytest.raises(KeyError, match="the power is out"):
        fit.run(config.copy(), tmp_path / "cut")
    monkeypatch.setattr(trainers, "callbacks", watchers)
    fit.run(config.copy(), tmp_path / "cut")
    for name in ("best", "final"):
        one, other = (
            torch.load(tmp_path / run / "representation" / f"{name}.ckpt")["detector"]
            for run in ("straight", "cut")
        )
        assert all(torch.equal(value, other[key]) for key, value in one.items())
