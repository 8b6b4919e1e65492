"""Where the time of a training step goes: waiting for data, or computing."""

import logging
import time
from collections import deque
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.utilities.types import STEP_OUTPUT

from bacl.callbacks.waits import WAITING_HINT, Waits
from bacl.loggers.measurements import Quantity
from bacl.loggers.step_log import log_step
from bacl.processes.distributed import num_processes

_log = logging.getLogger(__name__)

FETCH = "[_TrainingEpochLoop].train_dataloader_next"  # Lightning's name for waiting on the loader


class FetchClock(Profiler):
    """Measures the waits for the loader, and hands every action on to the run's own profiler.

    The profiler is the only place where Lightning tells when it asks the loader for a batch: the
    time between two hooks would also hold logging, checkpoints and, because copies to a GPU wait
    for earlier work, the end of the last step.
    """

    def __init__(self, inner: Profiler) -> None:
        super().__init__()
        self.inner = inner
        self.seconds = 0.0
        """All waits so far."""
        self._began = 0.0
        self._work: torch.cuda.Event | None = None

    def step_ended(self, device: torch.device) -> None:
        """Mark the end of what a GPU has been told to do; nothing waits for it.

        Where it is still at work when the loader answers, the wait has cost nothing.
        """
        if device.type == "cuda":
            self._work = torch.cuda.Event()
            self._work.record(torch.cuda.current_stream(device))

    def start(self, action_name: str) -> None:
        """Note the time when the loader is asked."""
        self.inner.start(action_name)
        if action_name == FETCH:
            self._began = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Add the wait."""
        if action_name == FETCH and (self._work is None or self._work.query()):
            self.seconds += time.perf_counter() - self._began
        self.inner.stop(action_name)

    def summary(self) -> str:
        """The run's own profiler's."""
        return self.inner.summary()


class StepTimer(Callback):
    """Logs `speed/data_seconds`, `speed/step_seconds` and `speed/images_per_second`.

    They are means over the last `window` steps, logged whenever the trainer logs; images are those
    of all processes, assuming that each takes as many. The first step of an epoch and a step after
    a validation or a checkpoint do not count. Says once if more than a fifth of the time is spent
    waiting for data. Holds nothing that a resumed run needs.
    """

    def __init__(self, window: int = 50) -> None:
        """Average over `window` steps."""
        self._steps: deque[tuple[float, float, int]] = deque(maxlen=window)
        self._clock: FetchClock | None = None
        self._last: tuple[float, float] | None = None
        self._hinted = False
        self.waits = Waits()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the trainer's profiler."""
        self._clock = FetchClock(trainer.profiler)  # type: ignore[attr-defined]
        trainer.profiler = self._clock  # type: ignore[attr-defined]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the trainer its own profiler back."""
        self._release(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: Any) -> None:
        """Give the trainer its own profiler back."""
        self._release(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starting the loader's workers is no step."""
        self._last = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation is no step."""
        self._last = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Writing a checkpoint is no step."""
        self._last = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Measure this step and log the means."""
        assert self._clock is not None
        now = (time.perf_counter(), self._clock.seconds)
        if self._last is not None:
            images = len(batch.targets)
            step = Waits(*now) - Waits(*self._last)
            self.waits += step
            self._steps.append((step.seconds, step.waiting, images))
            self._log_means(pl_module, images)
        self._clock.step_ended(pl_module.device)
        self._last = now

    def _log_means(self, pl_module: LightningModule, batch_size: int) -> None:
        total, waiting, images = (sum(column) for column in zip(*self._steps, strict=True))
        count = len(self._steps)
        parts = {
            "data_seconds": waiting / count,
            "step_seconds": total / count,
            "images_per_second": images * num_processes() / total,
        }
        values = {Quantity("speed", None, part): value for part, value in parts.items()}
        log_step(pl_module, values, batch_size)
        if count == self._steps.maxlen and waiting > WAITING_HINT * total and not self._hinted:
            self._hinted = True
            _log.warning(
                "training waits for data %.0f %% of the time (%.2f of %.2f s per step): give the "
                "loader more processes (datamodule.num_workers) or faster storage",
                100 * waiting / total, waiting / count, total / count,
            )  # fmt: skip

    def _release(self, trainer: Trainer) -> None:
        if self._clock is not None:
            trainer.profiler = self._clock.inner  # type: ignore[attr-defined]
            self._clock = None
