"""The line of progress says when the loader is what a training waits for."""

import logging
import re
import time
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.profilers import SimpleProfiler

from bacl.callbacks import waits
from bacl.callbacks.console import ProgressBar
from bacl.callbacks.step_timer import FETCH, FetchClock, StepTimer
from bacl.callbacks.waits import Waits, mend


def lines_of(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "bacl.callbacks.console"]


def test_a_slow_loader_is_told_with_the_mend(fit, stage, caplog, monkeypatch):
    from tests import tiny_stage

    quick = tiny_stage.TinyData.train_dataloader

    def slow(self):
        loader = quick(self)
        collate = loader.collate_fn
        loader.collate_fn = lambda items: time.sleep(0.15) or collate(items)
        return loader

    monkeypatch.setattr(tiny_stage.TinyData, "train_dataloader", slow)
    monkeypatch.setattr(waits, "usable_cores", lambda: 64)
    with caplog.at_level(logging.INFO):
        fit(StepTimer(), ProgressBar(line_seconds=0), enable_progress_bar=True)
    told = r" s/step, \d\d% waiting for data \(datamodule\.num_workers=\d+\), \d:"
    assert re.search(told, lines_of(caplog)[2])


def test_a_quick_one_is_not_mentioned(fit, caplog):
    class Waiting(StepTimer):
        @property
        def waits(self):
            return Waits(10 * self.steps, 2 * self.steps)

        @waits.setter
        def waits(self, value):
            self.steps = getattr(self, "steps", 0) + 1

    with caplog.at_level(logging.INFO):
        fit(Waiting(), ProgressBar(line_seconds=0), enable_progress_bar=True)
    assert len(lines_of(caplog)) == 8
    assert not any("waiting" in line for line in lines_of(caplog))


def trainer(workers):
    return SimpleNamespace(train_dataloader=SimpleNamespace(num_workers=workers))


def test_shares_are_those_of_the_last_interval(monkeypatch):
    monkeypatch.setattr(waits, "usable_cores", lambda: 8)
    before, now = Waits(100.0, 0.0), Waits(110.0, 6.0)
    assert (now - before).told(trainer(1)) == "60% waiting for data (datamodule.num_workers=3)"
    assert now.told(trainer(1)) == ""
    assert Waits().told(trainer(0)) == ""


@pytest.mark.parametrize(
    ("workers", "cores", "processes", "expected"),
    [
        (0, 16, 1, "datamodule.num_workers=9"),  # 9 s of loading beside 1 s of computation
        (1, 16, 1, "datamodule.num_workers=10"),
        (1, 16, 2, "datamodule.num_workers=8"),  # the other 8 cores are the other process'
        (1, 4, 1, "datamodule.num_workers=4"),
        (4, 4, 1, "4 processes load on 4 cores: smaller pictures or faster storage"),
        (0, 1, 1, "datamodule.num_workers=1"),
    ],
)
def test_as_many_processes_as_load_in_the_time_of_a_step(workers, cores, processes, expected):
    assert mend(Waits(10.0, 9.0), workers, cores, processes) == expected


def test_nothing_but_waits():
    assert mend(Waits(1.0, 1.0), 2, 8, 1) == "datamodule.num_workers=8"


def test_a_wait_behind_a_gpu_at_work_costs_nothing(monkeypatch):
    class Event:
        finished = False

        def record(self, stream):
            pass

        def query(self):
            return self.finished

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    clock = FetchClock(SimpleProfiler())
    clock.step_ended(torch.device("cuda"))
    with clock.profile(FETCH):
        time.sleep(0.001)
    assert clock.seconds == 0
    Event.finished = True
    with clock.profile(FETCH):
        time.sleep(0.001)
    assert clock.seconds > 0
