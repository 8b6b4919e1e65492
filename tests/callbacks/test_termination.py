"""The end of a training by a signal that its process, or another one, was sent."""

import signal

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn, tensor

from bacl.callbacks.csv_logger import CSVLogger, read_rows
from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.termination import Termination
from bacl.interruption import INTERRUPTION


class Told(Callback):
    """As if a signal came while a step was under way."""

    def __init__(self, step):
        self.step = step

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step:
            INTERRUPTION.asked = signal.SIGTERM


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch):
    for name in ("asked", "place"):
        monkeypatch.setattr(INTERRUPTION, name, getattr(INTERRUPTION, name))


@pytest.mark.parametrize("step", [1, 3])
def test_the_step_is_finished_and_logged_and_no_other_begins(fit, tmp_path, step):
    watch = FiniteLoss()
    with pytest.raises(SIGTERMException):
        fit(watch, Told(step), Termination(watch), logger=CSVLogger(tmp_path))
    losses = [values for _, values in read_rows(tmp_path / "metrics.csv") if "train/box" in values]
    assert len(losses) == step + 1
    assert INTERRUPTION.place.startswith(f"after step {step + 1} of the")


def _agree(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    module = nn.Linear(1, 1)
    module.step_losses = {"box": tensor(1.0)}
    watch = FiniteLoss()
    for asked, ends in ((None, False), (signal.SIGINT if rank else None, True)):
        INTERRUPTION.asked = asked
        watch.on_before_backward(None, module, tensor(1.0))
        assert watch.ends is ends
    dist.destroy_process_group()


def test_processes_agree_in_the_check_of_their_losses(tmp_path):
    mp.start_processes(_agree, (str(tmp_path),), nprocs=2, start_method="fork")
