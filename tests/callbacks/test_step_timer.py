import logging
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.profilers import SimpleProfiler

from bacl.callbacks import step_timer
from bacl.callbacks.step_timer import FETCH, FetchClock, StepTimer


class Clock:
    """A time that only moves when told."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(step_timer.time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def run(clock):
    """Drive a timer by hand; `step(wait, compute)` returns what it logged."""
    trainer = SimpleNamespace(profiler=SimpleProfiler())
    timer = StepTimer(window=2)
    logged = {}
    trainer._logger_connector = SimpleNamespace(should_update_logs=True)
    module = SimpleNamespace(
        log_dict=lambda values, batch_size: logged.update(values),
        trainer=trainer,
        device=torch.device("cpu"),
    )
    batch = SimpleNamespace(targets=[None] * 4)
    timer.on_train_start(trainer, module)

    def step(wait, compute):
        logged.clear()
        with trainer.profiler.profile(FETCH):
            clock.now += wait
        clock.now += compute
        timer.on_train_batch_end(trainer, module, None, batch, 0)
        return dict(logged)

    return SimpleNamespace(step=step, timer=timer, trainer=trainer, module=module)


def test_means_over_the_window(run):
    assert run.step(5, 5) == {}  # starts the loader
    assert run.step(1, 3)["speed/step_seconds"] == 4
    logged = run.step(0, 2)
    assert logged == {
        "speed/data_seconds": 0.5,
        "speed/step_seconds": 3.0,
        "speed/images_per_second": 8 / 6,
    }
    assert run.step(0, 2)["speed/data_seconds"] == 0


@pytest.mark.parametrize("interruption", ["validation", "checkpoint", "epoch"])
def test_interrupted_steps_do_not_count(run, interruption):
    run.step(0, 1)
    run.step(0, 1)
    call = {
        "validation": lambda: run.timer.on_validation_start(run.trainer, run.module),
        "checkpoint": lambda: run.timer.on_save_checkpoint(run.trainer, run.module, {}),
        "epoch": lambda: run.timer.on_train_epoch_start(run.trainer, run.module),
    }
    call[interruption]()
    assert run.step(50, 50) == {}
    assert run.step(0, 1)["speed/step_seconds"] == 1


def test_hints_once_when_data_is_slow(run, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            run.step(3, 7)
    assert len(caplog.records) == 1
    assert "waits for data 30 %" in caplog.text


def test_no_hint_at_a_fifth(run, caplog):
    for _ in range(6):
        run.step(2, 8)
    assert not caplog.records


def test_profiler_of_the_run_still_sees_everything(clock):
    inner = SimpleProfiler()
    outer = FetchClock(inner)
    for name, seconds in ((FETCH, 2.0), ("other", 3.0)):
        outer.start(name)
        clock.now += seconds
        outer.stop(name)
    assert outer.seconds == 2
    assert set(inner.recorded_durations) == {FETCH, "other"}


def test_lightning_still_names_its_wait_for_the_loader(fit):
    """A renamed action would silently measure no waiting."""
    timer = StepTimer()
    trainer = fit(timer, profiler=SimpleProfiler(), batches=3, epochs=1)
    assert len(trainer.profiler.recorded_durations[FETCH]) >= 3
    assert isinstance(trainer.profiler, SimpleProfiler)
    assert trainer.logged_metrics["speed/data_seconds"] > 0
    assert (
        trainer.logged_metrics["speed/step_seconds"] > trainer.logged_metrics["speed/data_seconds"]
    )
