"""SIGTERM ends a training between two steps, on all processes at the same one."""

import signal
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bacl.distributed import num_processes, sum_over_processes


class Termination(Callback):
    """Takes the place of Lightning's handler of SIGTERM.

    That one (2.6) broadcasts from within the handler, wherever the training is: processes that
    are in another collective then wait for each other for ever. This one takes a note, and the
    processes agree after the step.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether this process was told to end."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has put its handler up by now; it takes down whatever is there at the end."""
        self._listen(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation can come without a training, or before it."""
        self._listen(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor,  # type: ignore[override]
        batch: Any,
        batch_idx: int,
    ) -> None:
        """If a process was told to end, let all of them know; Lightning ends them after this."""
        if num_processes() > 1:
            asked = torch.tensor(int(self.asked), device=pl_module.device)
            _end(trainer, bool(sum_over_processes(asked)))

    def _listen(self, trainer: Trainer) -> None:
        def note(number: int, frame: FrameType | None) -> None:
            launcher: Any = trainer.strategy.launcher
            if not self.asked and launcher is not None:
                launcher.kill(number)  # hands the signal on to the processes that it started
            self.asked = True
            if num_processes() == 1:
                _end(trainer, True)

        signal.signal(signal.SIGTERM, note)


def _end(trainer: Trainer, ends: bool) -> None:
    trainer._signal_connector.received_sigterm = ends  # it has no public way to be set
