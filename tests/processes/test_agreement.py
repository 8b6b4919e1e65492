"""What processes agree on in every step: losses, the end, and the time to save."""

import signal

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn, tensor

from bacl.callbacks.finite_loss import FiniteLoss
from bacl.processes.agreement import Agreement
from bacl.processes.interruption import INTERRUPTION

NEVER = float("inf")


def _agree(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    sums, reduce = [], dist.all_reduce
    dist.all_reduce = lambda values: (sums.append(values.numel()), reduce(values))
    module = nn.Linear(1, 1)
    module.step_losses = {"box": tensor(1.0)}
    # The second process' clock decides nothing; a signal to it ends both.
    for first, second, asked in ((NEVER, 0, None), (0, NEVER, signal.SIGINT)):
        INTERRUPTION.asked = asked if rank else None
        agreement = Agreement(second if rank else first)
        FiniteLoss(agreement).on_before_backward(None, module, tensor(1.0))
        assert agreement.saves is (first == 0)
        assert agreement.ends is agreement.ends_now(torch.device("cpu")) is (asked is not None)
        assert agreement.reach(tensor([float(rank), 0.0])) == [1.0, 0.0]
        agreement.saved()
        assert not agreement.saves
    assert sums == [3, 1, 4] * 2
    dist.destroy_process_group()


def test_processes_agree_in_one_sum(tmp_path):
    mp.start_processes(_agree, (str(tmp_path),), nprocs=2, start_method="fork")


@pytest.mark.parametrize("minutes", [0, NEVER])
def test_a_process_alone_asks_nobody(monkeypatch, minutes):
    monkeypatch.setattr("bacl.processes.agreement.sum_over_processes", None)
    monkeypatch.setattr(torch, "full", None)
    agreement = Agreement(minutes)
    assert agreement.saves is (minutes == 0)
    assert not agreement.ends_now(torch.device("cpu"))
    assert agreement.reach(tensor([0.0, 1.0])) == [0.0, 1.0]
    monkeypatch.setattr(INTERRUPTION, "asked", signal.SIGTERM)
    assert agreement.ends
    assert agreement.ends_now(torch.device("cpu"))
