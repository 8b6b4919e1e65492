"""Runs `run.py`, which sends a signal in the middle of the second step of a stage.

    python signalled_in_step.py SIGNAL self|second STAGE run.py OVERRIDE...

It is sent to this process, or to the second one of those that train together.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from bacl.callbacks.finite_loss import FiniteLoss
from bacl.processes.peers import PEERS


def signal_in_step(number: signal.Signals, to: str, stage: str) -> None:
    """Send the signal once the processes have agreed that the step's losses are finite."""
    check = FiniteLoss.on_before_backward

    def signalled(watch: FiniteLoss, trainer: Trainer, *others: Any) -> None:
        check(watch, trainer, *others)
        if Path(trainer.default_root_dir).name == stage and trainer.global_step == 1:
            os.kill(PEERS._started[0].pid if to == "second" else os.getpid(), number)

    FiniteLoss.on_before_backward = signalled  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    name, to, stage, *command = sys.argv[1:]
    sys.argv = command
    signal_in_step(signal.Signals[name], to, stage)
    runpy.run_path(command[0], run_name="__main__")
