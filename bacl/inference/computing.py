"""What computing here would change in the process of a program that uses this package."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def generators_kept() -> Iterator[None]:
    """Random generators are afterwards as they were."""
    started = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = range(torch.cuda.device_count()) if started else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def as_in_a_job() -> Iterator[None]:
    """Computes as jobs do, to the bit: denormal numbers count as zero (`prepare_process`)."""
    smallest = torch.full((1,), torch.finfo(torch.float32).tiny)
    flushed = bool((smallest / 2 == 0).all())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
