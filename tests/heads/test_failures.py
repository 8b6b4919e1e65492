"""Heads that fail alone, and processes that agree on it."""

import weakref

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bacl.heads import Classifier, together
from bacl.heads.failures import Failures
from bacl.losses import BinaryCrossEntropy, EQLv2
from bacl.processes.distributed import PeerFailedError, failing_together, sum_over_processes
from tests.levels import single, training_level

C, D = 3, 5


def level(seed: int):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 1, C, C])
    return training_level(torch.rand(4, D, generator=draws), labels)


def heads():
    """Two, of which the first sums over processes in its loss and when it observes."""
    return {
        "eqlv2": single(Classifier(D, EQLv2(C, 0.001, gamma=12, mu=0.8, alpha=4), seed=1)),
        "bce": single(Classifier(D, BinaryCrossEntropy(C, 0.001), seed=2)),
    }


def test_an_error_is_let_through_unless_failures_are_tolerated():
    failures = Failures()
    with pytest.raises(ValueError, match="mine"), failures.of(["a"]):
        raise ValueError("mine")
    failures.tolerated, failures.place = True, "at step 3"
    with failures.of(["a", "b"]):
        raise ValueError("mine")
    assert failures.reasons == dict.fromkeys("ab", "ValueError: mine at step 3")
    assert "c" not in failures
    with pytest.raises(ValueError, match="mine"):
        failures.raise_first(["a"])
    failures.raise_first(["c"])


def test_errors_that_were_let_go_hold_nothing_and_are_told_still():
    failures = Failures()
    failures.tolerated = True

    def step():
        levels = torch.ones(3)
        held.append(weakref.ref(levels))
        raise ValueError("mine")

    held = []
    with failures.of(["a"]):
        step()
    assert held[0]() is not None
    failures.let_go()
    assert held[0]() is None
    failures.raise_first(["a"])
    assert failures.told_of(["a"]) == "a: ValueError: mine"


def test_a_full_device_and_a_lost_process_are_no_head_s_fault():
    failures = Failures()
    failures.tolerated = True
    for error in (torch.OutOfMemoryError("full"), RuntimeError("Connection closed by peer [x]")):
        with pytest.raises(type(error)), failures.of(["a"]):
            raise error
    assert not failures.reasons


def test_the_others_losses_are_those_without_it():
    expected = together.losses(heads(), [level(0)])
    broken, failures = heads(), Failures()
    failures.tolerated = True
    broken["eqlv2"].classifiers[0].criterion.forward = None  # cannot be called
    found = together.losses(broken, [level(0)], failures)
    assert list(found) == ["bce"]
    assert torch.equal(found["bce"], expected["bce"])
    assert "TypeError" in failures.reasons["eqlv2"]


def _in_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    _blocks(rank)
    own, failures = heads(), Failures()
    failures.tolerated = True
    criterion = own["eqlv2"].classifiers[0].criterion
    if rank == 1:
        observe = criterion.observe

        def broken(*arguments):
            observe(*arguments)  # the first process waits for this sum, then for no other one
            raise ValueError("only here")

        criterion.observe = broken
    for step in range(2):
        found = together.losses({n: h for n, h in own.items() if n not in failures},
                                [level(step + 10 * rank)], failures)  # fmt: skip
        assert list(found) == ["bce"]
    failures.agree()
    assert failures.reasons == {"eqlv2": "ValueError: only here"}
    assert sum_over_processes(torch.ones(())) == 2  # no process waits in another's collective
    dist.destroy_process_group()


def _blocks(rank: int) -> None:
    """One fails before the first sum, between the two and after them."""
    for sums in range(3):
        with pytest.raises(PeerFailedError if rank else ValueError):
            _sum_twice(fails_after=None if rank else sums)
    _sum_twice(fails_after=None)


def _sum_twice(fails_after: int | None) -> None:
    with failing_together():
        for number in range(3):
            if number == fails_after:
                raise ValueError("mine")
            if number < 2:
                assert sum_over_processes(torch.ones(2 + number))[0] == 2


def test_a_head_that_fails_on_one_process_fails_on_all_and_none_waits(tmp_path):
    mp.start_processes(_in_process, (str(tmp_path),), nprocs=2, start_method="fork")
