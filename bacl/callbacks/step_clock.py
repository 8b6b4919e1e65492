"""Ends a training after a few steps, and tells how long they took."""

import time
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT

from bacl.callbacks.step_timer import FetchClock


class StepClock(Callback):
    """Times `steps` steps after `warm_up` others.

    Args:
        warm_up: at least 1: the first step starts workers and chooses algorithms.
        steps: at least 1.
    """

    def __init__(self, warm_up: int, steps: int) -> None:
        self.warm_up, self.steps = warm_up, steps
        self._marks: list[tuple[float, float]] = []
        self._fetch: FetchClock | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the trainer's profiler, which tells when it waits."""
        self._fetch = FetchClock(trainer.profiler)  # type: ignore[attr-defined]
        trainer.profiler = self._fetch  # type: ignore[attr-defined]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the time, and end the training where it is enough."""
        assert self._fetch is not None
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._marks.append((time.perf_counter(), self._fetch.seconds))
        if len(self._marks) == self.warm_up + self.steps:
            trainer.should_stop = True

    @property
    def timed(self) -> int:
        """Steps after those to warm up; fewer than wanted where the training has no more."""
        return max(0, len(self._marks) - self.warm_up)

    @property
    def means(self) -> tuple[float, float]:
        """Seconds of a step, and of these those that it waited for its batch."""
        first, last = self._marks[self.warm_up - 1], self._marks[-1]
        total, waiting = (end - begin for begin, end in zip(first, last, strict=True))
        return total / self.timed, waiting / self.timed
