"""The checkpoint that an interrupted stage goes on from."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bacl.callbacks.place import Place
from bacl.data.datamodule import DetectionDataModule, data_of
from bacl.files.atomic import UnwritableError
from bacl.loggers.csv_logger import CSVLogger, MetricsFile
from bacl.processes.agreement import Agreement
from bacl.processes.distributed import num_processes


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` every so many minutes, and when a training is told to end.

    It is written between two steps only: when the last one's row of metrics is logged and, with
    accumulated gradients, when the optimiser has used them. It holds what is done (`Place`) and
    the number of rows of metrics.csv that belong to it. Whatever an interrupted process did after
    it is cut off and done again, so that any number of interruptions anywhere ends with the same
    weights and the same rows.
    """

    def __init__(self, folder: Path, agreement: Agreement) -> None:
        """Save into the stage's folder, whenever all processes agree that it is time."""
        self.path = folder / "last.ckpt"
        self._agreement = agreement
        self._trains = False
        """Whether a training is under way, maybe with a validation within it."""
        self._validates = self._validated = False
        self._rows = 0
        """Of metrics.csv, of a training that goes on."""
        self._rows_before: int | None = None
        """The same, while a validation or an epoch's end that adds rows is not finished."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; the rows are the first process' to count."""
        return {
            "validates": self._validates, "validated": self._validated, "rows": self._rows
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint ended."""
        self._validates, self._validated = state_dict["validates"], state_dict["validated"]
        self._rows = state_dict["rows"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut off the rows that an interrupted process logged after its last checkpoint."""
        self._trains = True
        self._agreement.saved()
        for file in metrics_files(trainer):
            file.keep(self._rows)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is finished; save, if it is time."""
        self._rows_before = None
        if trainer.current_epoch:
            self._save_in_time(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The last step is finished, and a validation that followed it; save, if it is time."""
        if batch_idx:
            self._save_in_time(trainer)
        loop = trainer.fit_loop
        self._validates = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)  # type: ignore[arg-type]
        self._validated = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation may take long: save before it, if it is time."""
        if self._trains:
            self._rows_before = _count_rows(trainer)
            self._save_in_time(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that it is done."""
        if self._trains:
            self._validated, self._rows_before = True, None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The rows of the epoch's end come next."""
        self._rows_before = _count_rows(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Other validations are none of its own."""
        self._trains = False

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Keep what is done, if the processes end together: told to, or because there is but one.

        An error between two steps is one of the data: a broken picture, a killed loader.
        """
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        within_step = batches.ready != batches.completed
        together = isinstance(exception, SIGTERMException) or num_processes() == 1
        refused = isinstance(exception, UnwritableError)  # it would be again
        if together and self._trains and not within_step and not refused:
            self._save(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say what is done, in Lightning's counters and as the place in the data."""
        done = Place.of(trainer, self._validates, self._validated)
        loops, data = checkpoint["loops"], data_of(trainer)
        loops["fit_loop"] = done.counters(loops["fit_loop"], trainer.global_step)
        if isinstance(data, DetectionDataModule):
            checkpoint[type(data).__qualname__] = data.place(done.epochs, done.batches)

    def _save_in_time(self, trainer: Trainer) -> None:
        if self._agreement.saves:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        """Save, unless there is nothing yet or gradients wait for the optimiser."""
        done = Place.of(trainer)
        waiting = done.batches % trainer.accumulate_grad_batches and not done.is_at_epoch_end
        if waiting or not trainer.global_step:
            return
        before = self._rows_before
        self._rows = _count_rows(trainer) if before is None else before
        # the state of the optimiser, too; where it is not said, Lightning tells so at each time
        trainer.save_checkpoint(self.path, weights_only=False)
        self._agreement.saved()


def metrics_files(trainer: Trainer) -> list[MetricsFile]:
    """The files of this process: the first one's alone has any."""
    own = [logger.experiment for logger in trainer.loggers if isinstance(logger, CSVLogger)]
    return [file for file in own if isinstance(file, MetricsFile)]


def _count_rows(trainer: Trainer) -> int:
    return max((file.rows for file in metrics_files(trainer)), default=0)
