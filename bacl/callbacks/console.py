"""What a run shows in the terminal."""

import logging
import time
from datetime import timedelta
from typing import Any, cast

import rich
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.utilities.types import STEP_OUTPUT

from bacl.callbacks.itinerary import Itinerary
from bacl.callbacks.shown_losses import shown_losses
from bacl.callbacks.waits import Waits, waits_of
from bacl.processes.distributed import num_processes
from bacl.stages import DetectionStage

_log = logging.getLogger(__name__)


class ProgressBar(RichProgressBar):
    """Progress with the losses; plain log lines where the output is not a terminal.

    Losses are read from the device once in `every` steps only, because reading waits for it.
    """

    def __init__(
        self, every: int = 10, line_seconds: float = 30.0, itinerary: Itinerary | None = None
    ) -> None:
        """Choose how often the display changes.

        Args:
            every: steps between two readings of the losses.
            line_seconds: seconds between two log lines, without a terminal.
            itinerary: the stages of the run; None: this one is all.
        """
        theme = RichProgressBarTheme(
            progress_bar="#0072b2", progress_bar_finished="#009e73", progress_bar_pulse="#0072b2"
        )
        super().__init__(refresh_rate=4, theme=theme)
        self._every = every
        self._line_seconds = line_seconds
        self._itinerary = itinerary or Itinerary(0, [1])
        self._shown: dict[str, Any] = {}
        self._start = (0.0, 0)
        self._validation_start = 0.0
        self._images = 0
        self._last_line = 0.0
        self._waits = Waits()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Without a terminal a bar would only be printed when all is over: log lines instead."""
        super().setup(trainer, pl_module, stage)
        self._in_lines = not rich.get_console().is_terminal
        if self._in_lines:
            self.disable()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the estimate of the remaining time; a resumed run has steps behind it."""
        super().on_train_start(trainer, pl_module)
        self._start = (time.monotonic(), trainer.global_step)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The losses by short names, read anew once in `every` steps."""
        if trainer.global_step % self._every == 0 or not self._shown:
            metrics = super().get_metrics(trainer, pl_module)
            metrics.pop("v_num", None)
            self._shown = metrics | shown_losses(cast(DetectionStage, pl_module).step_losses)
            if not self._in_lines and trainer.training:
                self._shown["left"] = self._left(trainer)[1]
                self._shown |= {"data": told} if (told := self._told_waits(trainer)) else {}
        return self._shown

    def _get_train_description(self, current_epoch: int) -> str:
        """Of the bar."""
        stage = self._itinerary.stage
        epoch = super()._get_train_description(current_epoch)
        return f"{stage.capitalize()}, {epoch.lower()}" if stage else epoch

    def _left(self, trainer: Trainer) -> tuple[float, str]:
        """Seconds of a step, and the time that is left, in words."""
        total, (began, first) = int(trainer.estimated_stepping_batches), self._start
        seconds = (time.monotonic() - began) / max(1, trainer.global_step - first)
        return seconds, self._itinerary.left(seconds, total, total - trainer.global_step)

    def _told_waits(self, trainer: Trainer) -> str:
        """What of the time since this was last asked went by waiting for data, if it is much."""
        before, self._waits = self._waits, waits_of(trainer)
        return (self._waits - before).told(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar, or write a line when its time has come."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._due(trainer):
            _log.info("%s", self._line(trainer, pl_module))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the estimate of the validation's remaining time."""
        super().on_validation_start(trainer, pl_module)
        self._validation_start, self._images = time.monotonic(), 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar, or write a line when its time has come."""
        super().on_validation_batch_end(
            trainer, pl_module, outputs, batch, batch_idx, dataloader_idx
        )
        self._images += len(batch.targets)
        if not trainer.sanity_checking and self._due(trainer):
            _log.info("%s", self._validation_line(trainer, batch_idx + 1))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is going on while the module computes AP, which it does after this."""
        super().on_validation_epoch_end(trainer, pl_module)
        if self._in_lines and trainer.is_global_zero and not trainer.sanity_checking:
            seconds = time.monotonic() - self._validation_start
            _log.info(
                "validation: all images done in %s, computing AP", timedelta(seconds=round(seconds))
            )

    def _due(self, trainer: Trainer) -> bool:
        """Whether it is time for a line; if so, the next one waits."""
        waited = time.monotonic() - self._last_line >= self._line_seconds
        if not (self._in_lines and waited and trainer.is_global_zero):
            return False
        self._last_line = time.monotonic()
        return True

    def _validation_line(self, trainer: Trainer, batches: int) -> str:
        total_batches = int(trainer.num_val_batches[0])
        seconds = (time.monotonic() - self._validation_start) / batches
        left = timedelta(seconds=round(seconds * (total_batches - batches)))
        # The first process has the largest share, and the others keep about its pace.
        images = self._images * num_processes()
        total = min(
            len(trainer.val_dataloaders.dataset),  # type: ignore[union-attr]
            images * total_batches // batches,
        )
        done = min(total, images)
        return f"validation: {done}/{total} images, {left} left"

    def _line(self, trainer: Trainer, pl_module: LightningModule) -> str:
        self._shown = {}
        losses = [f"{name} {value:.3f}" for name, value in self._numbers(trainer, pl_module)]
        seconds, left = self._left(trainer)
        stage = f"{self._itinerary.stage}, " if self._itinerary.stage else ""
        waits = f"{told}, " if (told := self._told_waits(trainer)) else ""
        return (
            f"{stage}epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, "
            f"step {trainer.global_step}/{int(trainer.estimated_stepping_batches)}, "
            f"{seconds:.2f} s/step, {waits}{left} left: " + ", ".join(losses)
        )

    def _numbers(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> list[tuple[str, int | float]]:
        metrics = self.get_metrics(trainer, pl_module)
        return [(name, v) for name, v in metrics.items() if isinstance(v, int | float)]
