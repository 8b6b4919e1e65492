"""Who waits: how much of the training's time goes by until the loader has a batch, and the mend."""

import math
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from lightning.pytorch import Trainer

from bacl.processes.cores import usable_cores
from bacl.processes.distributed import num_processes

WAITING_HINT = 0.2
"""A larger share of the time than this is told."""


@dataclass(frozen=True)
class Waits:
    """Of some steps."""

    seconds: float = 0.0
    """They took."""
    waiting: float = 0.0
    """Of them, those waited for data."""

    def __add__(self, more: Self) -> "Waits":
        return Waits(self.seconds + more.seconds, self.waiting + more.waiting)

    def __sub__(self, earlier: Self) -> "Waits":
        return Waits(self.seconds - earlier.seconds, self.waiting - earlier.waiting)

    @property
    def share(self) -> float:
        """In [0, 1], of the time."""
        return self.waiting / self.seconds if self.seconds else 0.0

    def told(self, trainer: Trainer) -> str:
        """The share with its mend; empty where it is small.

        Args:
            trainer: that trains, with its loader.
        """
        if self.share <= WAITING_HINT:
            return ""
        loader, cores = trainer.train_dataloader, usable_cores()
        workers = getattr(loader, "num_workers", 0)
        return f"{self.share:.0%} waiting for data ({mend(self, workers, cores, num_processes())})"


@runtime_checkable
class Waiting(Protocol):
    """A callback that measures waits."""

    waits: Waits


def waits_of(trainer: Trainer) -> Waits:
    """Of all steps so far, by the callback that measures them; none where there is none."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((each.waits for each in callbacks if isinstance(each, Waiting)), Waits())


def mend(waits: Waits, workers: int, cores: int, processes: int) -> str:
    """What would end the waits.

    The processes that load, or this one where there are none, were busy all the time of a step and
    would have to be done in that of its computation.

    Args:
        waits: some were waited for.
        workers: processes that load for this one.
        cores: that processes here may compute on.
        processes: that train; on this machine, at most.

    >>> mend(Waits(4.0, 3.0), 2, 16, 1)
    'datamodule.num_workers=8'
    >>> mend(Waits(4.0, 3.0), 0, 16, 1)
    'datamodule.num_workers=3'
    """
    computing = max(waits.seconds - waits.waiting, 1e-9)
    loading = workers * waits.seconds if workers else waits.waiting
    most = max(1, cores // processes)
    wanted = min(math.ceil(min(loading / computing, most)), most)
    if wanted > workers:
        return f"datamodule.num_workers={wanted}"
    return f"{workers} processes load on {cores} cores: smaller pictures or faster storage"
