"""Batches from worker processes, and their errors without a traceback of a process elsewhere."""

import atexit
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset

from bacl.data.batch import Batch
from bacl.data.collate import Samples, collate, collate_uint8
from bacl.messages.errors import UserError
from bacl.processes.interruption import INTERRUPTION, SIGNALS

_WORKERS: WeakSet[BaseProcess] = WeakSet()
"""Processes that load for a command, and leave signals to it."""


class BatchLoader(DataLoader[Any]):
    """A loader that raises what a data set's `__getitems__` hands over as an error.

    Torch makes one text of an error raised in a worker and its traceback; a mistake that a user can
    mend is told in one line wherever it was found.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches in order.

        Raises:
            UserError: in the place of the batch that cannot be loaded.
        """
        with _signals_held_back():
            batches = super().__iter__()
        if INTERRUPTION.listens:
            _WORKERS.update(getattr(batches, "_workers", ()))
        for batch in batches:
            if isinstance(batch, UserError):
                raise batch
            yield batch


def collate_or_error(
    samples: Samples | UserError, put_together: Callable[[Samples], Batch] = collate
) -> Batch | UserError:
    """The batch of the samples, or the error that came instead of them."""
    return samples if isinstance(samples, UserError) else put_together(samples)


def batch_loader(
    dataset: Dataset[Any],
    batches: Iterable[list[Any]],
    num_workers: int,
    pin_memory: bool = False,
    persistent: bool = False,
    multiprocessing_context: str | None = None,
    collate_fn: Callable[[Any], Any] | None = None,
) -> BatchLoader:
    """A loader of `Batch`es, from so many worker processes or from this one.

    Args:
        dataset: images and targets by index.
        batches: lists of indices.
        num_workers: processes that load; 0 loads in this one.
        pin_memory: load into pinned memory; nothing without CUDA.
        persistent: keep the workers after the last batch, for the next epoch.
        multiprocessing_context: how workers start; None takes the platform's way.
        collate_fn: makes one thing of the items of a batch; None: a `Batch`, whose images travel
            to pinned memory as bytes.
    """
    # Workers run torch on one thread, which is torch's own doing. A generator of its own keeps
    # the loader from drawing from the training's.
    pinned = pin_memory and torch.cuda.is_available()
    put_together = partial(collate_or_error, put_together=collate_uint8 if pinned else collate)
    return BatchLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=collate_fn or put_together,
        generator=torch.Generator(),
        pin_memory=pinned,
        persistent_workers=persistent,
        worker_init_fn=_leave_signals if INTERRUPTION.listens else None,
        multiprocessing_context=multiprocessing_context if num_workers else None,
    )


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process that a command starts here is told nothing until it has left signals to it."""
    if not INTERRUPTION.listens or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _leave_signals(worker: int) -> None:
    """Terminals and clusters tell every process to end; the command ends its own.

    Without its loading processes it could not finish its step.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@atexit.register
def _end_workers() -> None:
    """Python would ask what is left of them to end, and wait."""
    for process in _WORKERS:
        process.kill()
