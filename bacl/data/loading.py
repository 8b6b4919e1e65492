"""Batches from worker processes, and their errors without a traceback of a process elsewhere."""

import atexit
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bacl.data.batch import Batch, Target
from bacl.data.collate import collate
from bacl.errors import UserError


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
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


def collate_or_error(samples: Sequence[tuple[Tensor, Target]] | UserError) -> Batch | UserError:
    """The batch of the samples, or the error that came instead of them."""
    return samples if isinstance(samples, UserError) else collate(samples)


def batch_loader(
    dataset: Dataset[Any],
    batches: Sampler[Any],
    num_workers: int,
    pin_memory: bool = False,
    persistent: bool = False,
    multiprocessing_context: str | None = None,
) -> BatchLoader:
    """A loader of `Batch`es, from so many worker processes or from this one.

    Args:
        dataset: images and targets by index.
        batches: lists of indices.
        num_workers: processes that load; 0 loads in this one.
        pin_memory: load into pinned memory; nothing without CUDA.
        persistent: keep the workers after the last batch, for the next epoch.
        multiprocessing_context: how workers start; None takes the platform's way.
    """
    # Workers run torch on one thread, which is torch's own doing. A generator of its own keeps
    # the loader from drawing from the training's.
    return BatchLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=collate_or_error,
        generator=torch.Generator(),
        pin_memory=pin_memory and torch.cuda.is_available(),
        persistent_workers=persistent,
        worker_init_fn=_leave_signals_alone,
        multiprocessing_context=multiprocessing_context if num_workers else None,
    )


def _leave_signals_alone(worker: int) -> None:
    """Terminals and clusters tell every process to end; the training process ends its own.

    Without its loading processes it could not finish its step.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@atexit.register
def _end_workers() -> None:
    """What is left of them would be asked to end, and waited for, by Python.

    Workers are daemons; other processes are those of a program that uses this package.
    """
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
