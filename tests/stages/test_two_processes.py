"""Stages on two processes, under Lightning's own strategy with the settings of trainer=ddp."""

import pytest
import torch
from lightning.pytorch import Callback

from bacl.callbacks.finite_loss import FiniteLoss
from bacl.heads import BoxGenerator
from bacl.losses import FCBL
from bacl.processes.agreement import Agreement
from bacl.processes.distributed import process_rank
from bacl.stages.failed_heads import read_failed_heads

pytestmark = pytest.mark.slow

TWO_PROCESSES = (
    "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2",
    "+trainer.strategy.start_method=fork", "+trainer.strategy.process_group_backend=gloo",
)  # fmt: skip
STATISTICS = ("criterion.", "ation.prototypes", "ation.variances", "ation.seen")
# BACL observes hallucinated rows too, which differ between processes: its margin is followed alone.
MARGIN = "+head@stages.classifier.heads.margin=fcbl"
# Every RoI is drawn, so that nothing of the first step is left to chance but the jitter.
EVERY_ROI = "detector.sampler.sampler={count:4096,positive_fraction:0.5}"


class FixedJitter(BoxGenerator):
    """Jitters every box by the same magnitude."""

    def draw(self, count, device):
        return torch.full((count, 16, 4), 0.5, device=device)


class Save(Callback):
    """Leaves every process' stage as it was after training."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), self.folder / f"{trainer.global_rank}.pt")


class NothingOnTheSecond(Callback):
    """Takes all objects away from the second process."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == 1:
            for target in batch.targets:
                target.boxes, target.labels = target.boxes[:0], target.labels[:0]


@pytest.fixture
def two(bench, tmp_path):
    """Fits a stage of the tiny run on two processes; returns both states."""

    def fit(*overrides, callbacks=(), prepared=lambda table: table):
        table = prepared(bench(*overrides, *TWO_PROCESSES))
        assert table.config.trainer.strategy.broadcast_buffers is False
        table.fit(*callbacks, Save(tmp_path))
        return [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    return fit


def differing(first, second):
    """Names of the entries that differ by a bit; generators count their own draws."""
    tensors = {name: value for name, value in first.items() if isinstance(value, torch.Tensor)}
    return [name for name, value in tensors.items() if not torch.equal(value, second[name])]


def statistics(state):
    return {
        name: value for name, value in state.items()
        if name.startswith("heads.") and any(part in name for part in STATISTICS)
    }  # fmt: skip


def without_chance(table):
    table.stage.heads["bacl"].classifiers[0].hallucination.box_generator = FixedJitter()
    return table


def test_statistics_of_two_processes_are_those_of_the_whole_batch(bench, two, snapshot):
    overrides = ("classifier", MARGIN, EVERY_ROI, "trainer.limit_train_batches=1")
    one = without_chance(bench(*overrides))
    start = snapshot(one.stage)
    alone = statistics(one.fit().state_dict())
    states = two(*overrides, prepared=without_chance)
    assert not differing(*states)
    compared = [name for name in alone if not name.startswith("heads.bacl.first.criterion")]
    assert len(compared) == 5
    for name in compared:
        torch.testing.assert_close(states[0][name], alone[name])
        assert not torch.equal(alone[name], start[name])


@pytest.mark.parametrize("name", ["representation", "classifier"])
def test_processes_stay_equal_where_one_has_no_objects(two, name):
    first, second = two(name, "detector.backbone.norm_eval=true", callbacks=[NothingOnTheSecond()])
    assert not differing(first, second)
    assert all(value.isfinite().all() for value in first.values() if torch.is_tensor(value))


def test_no_parameter_is_left_without_gradient(two):
    """DDP would wait for it: it is told nothing about unused parameters."""
    first, second = two("classifier", "~stages.classifier.heads.bacl")
    assert not differing(first, second)


def test_a_head_that_fails_on_one_process_is_dropped_on_both(two, monkeypatch, tmp_path):
    observe = FCBL.observe

    def broken(self, *arguments, **options):
        if process_rank() == 1 and self.indicator.counts.any():
            raise ValueError("only here")
        observe(self, *arguments, **options)

    def tolerant(table):
        table.stage.tolerate_failures()
        return table

    monkeypatch.setattr(FCBL, "observe", broken)
    watch = FiniteLoss(Agreement())
    where = f"+trainer.default_root_dir={tmp_path}"
    first, second = two("classifier", where, callbacks=[watch], prepared=tolerant)
    assert not differing(
        {name: value for name, value in first.items() if not name.startswith("heads.bacl")}, second
    )
    assert read_failed_heads(tmp_path) == {"bacl": "ValueError: only here at step 1"}
