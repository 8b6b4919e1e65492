from itertools import product

import pytest
import torch

from bacl.stages import draws
from bacl.stages.draws import JITTER, SAMPLING, seed_draws


def drawn(seed: int, step: int, purpose: int) -> int:
    seed_draws(seed, step, purpose)
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
