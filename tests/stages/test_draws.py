from itertools import product

import pytest
import torch

from bacl.stages import draws
from bacl.stages.draws import JITTER, SAMPLING, seed_draws

CPU = torch.device("cpu")


def drawn(seed: int, step: int, purpose: int) -> int:
    seed_draws(seed, step, purpose, CPU)
    return int(torch.randint(2**62, (1,)))


def test_draws_of_a_step_repeat_whatever_came_before():
    first = drawn(3, 7, SAMPLING)
    torch.rand(5)
    assert drawn(3, 7, SAMPLING) == first


@pytest.mark.parametrize("processes", [1, 3])
def test_draws_differ_by_seed_step_process_and_purpose(monkeypatch, processes):
    monkeypatch.setattr(draws, "num_processes", lambda: processes)
    numbers = set()
    for rank in range(processes):
        monkeypatch.setattr(draws, "process_rank", lambda rank=rank: rank)
        numbers |= {drawn(*each) for each in product((0, 1), range(5), (SAMPLING, JITTER))}
    assert len(numbers) == processes * 2 * 5 * 2


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_step_draws_as_after_seeding_all_devices(monkeypatch, device):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    seed_draws(3, 7, JITTER, torch.device(device))
    found = torch.rand(3)
    torch.manual_seed((3 * 1_000_003 + 7) * 2 + 1)
    assert torch.equal(found, torch.rand(3))
    assert len(seeded) == (2 if device == "cuda" else 1)  # the last one by the test
