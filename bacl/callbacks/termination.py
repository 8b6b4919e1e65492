"""A training that is told to end does so between two steps, on all processes at the same one."""

import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import subprocess_script
from torch import Tensor
from torch.utils.data._utils import signal_handling

from bacl.processes.agreement import Agreement
from bacl.processes.interruption import INTERRUPTION
from bacl.processes.peers import PEERS


class Termination(Callback):
    """Lets the processes agree on the end, after which Lightning raises `SIGTERMException`.

    Takes the place of Lightning's handler of SIGTERM. That one (2.6) broadcasts from within the
    handler, wherever the training is: processes that are in another collective then wait for each
    other for ever. Nothing is done where the signals are another program's.
    """

    def __init__(self, agreement: Agreement) -> None:
        """`agreement` is reached once in every step."""
        self._agreement = agreement

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning puts its handler up after this, on top of ours."""
        if INTERRUPTION.listens:
            connector: Any = trainer._signal_connector
            connector._sigterm_notifier_fn = _leave_it_to_ours

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a step is finished first, and what follows it is logged and saved."""
        INTERRUPTION.postpone()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor,  # type: ignore[override]
        batch: Any,
        batch_idx: int,
    ) -> None:
        """If a process was told to end, all of them know; Lightning ends them after this."""
        INTERRUPTION.end_step()
        INTERRUPTION.place = f"after step {trainer.global_step} of the {_stage(trainer)} stage"
        if self._agreement.ends:
            _end(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The same in a validation within a training; one of its own is not postponed."""
        INTERRUPTION.end_step()
        if INTERRUPTION.postponed and self._agreement.ends_now(pl_module.device):
            _end(trainer)


def _end(trainer: Trainer) -> None:
    INTERRUPTION.asked = INTERRUPTION.asked or signal.SIGTERM
    trainer._signal_connector.received_sigterm = True  # it has no public way to be set


def _stage(trainer: Trainer) -> str:
    return Path(trainer.default_root_dir).name


def watch_processes() -> None:
    """Look after the processes that Lightning and torch start, in a command of our own.

    Lightning's observer (2.6) kills all processes, itself included, without a line. torch (2.14)
    reports a dead process of a loader from within a signal handler, wherever the training is: in
    the middle of a step too. The loader finds out by itself when it waits for its batch, between
    two steps.
    """
    if INTERRUPTION.listens:
        launcher: Any = subprocess_script
        launcher._launch_process_observer = PEERS.watch
        signal_handling._SIGCHLD_handler_set = True


def _leave_it_to_ours(number: int, frame: Any) -> None:
    """Lightning goes on to the handler that it found."""
