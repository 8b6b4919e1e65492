"""The end of a training by a signal that its process, or another one, was sent."""

import signal

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.termination import Termination
from bacl.loggers.csv_logger import CSVLogger, read_rows
from bacl.processes.agreement import Agreement
from bacl.processes.interruption import INTERRUPTION
from tests.tiny_stage import BOX


class Told(Callback):
    """As if a signal came while a step was under way."""

    def __init__(self, step):
        self.step = step

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step:
            INTERRUPTION.asked = signal.SIGTERM


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch):
    for name in ("asked", "place"):
        monkeypatch.setattr(INTERRUPTION, name, getattr(INTERRUPTION, name))


@pytest.mark.parametrize("step", [1, 3])
def test_the_step_is_finished_and_logged_and_no_other_begins(fit, tmp_path, step):
    agreement = Agreement()
    watch = FiniteLoss(agreement)
    with pytest.raises(SIGTERMException):
        fit(watch, Told(step), Termination(agreement), logger=CSVLogger(tmp_path))
    losses = [values for _, values in read_rows(tmp_path / "metrics.csv") if BOX in values]
    assert len(losses) == step + 1
    assert INTERRUPTION.place.startswith(f"after step {step + 1} of the")
