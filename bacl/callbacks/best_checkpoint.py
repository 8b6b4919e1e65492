"""What validations within a training are for: the best weights so far, and an end that is early."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from bacl.loggers.measurements import Quantity
from bacl.messages.errors import OptionError
from bacl.options.comparison import unknown


class BestCheckpoint(Callback):
    """Keeps the weights of the best validation, and ends a training that finds no better ones.

    What is the best is a matter of the stage's first variant (mostly a head as it is) that was
    evaluated: the heads of a stage share one detector, which has one best step at most. Where that
    head diverges, or its evaluation fails, the search begins anew with the next one: values of two
    heads tell nothing of one step. A validation that evaluated none counts for nothing. Equal
    values keep the earlier weights.

    An interrupted training goes on with the same best value and the same patience; a validation
    after its checkpoint is done again, and writes the same file.
    """

    def __init__(
        self, path: Path, save: Callable[[Path], None], measure: str, patience: int | None = None
    ) -> None:
        """Watch validations.

        Args:
            path: of the file with the best weights.
            save: writes it.
            measure: of the stage's metric, such as "AP"; the highest is the best.
            patience: a training ends after so many validations without a better one; None: never.
        """
        self.path = path
        self._save = save
        self._measure = measure
        self._patience = patience
        self.best, self.step = -math.inf, 0
        """Highest value, and the training steps before it."""
        self.waited = 0
        """Validations since."""
        self.head = ""
        """The variant that is compared; another one, once it is not evaluated any more."""

    def state_dict(self) -> dict[str, Any]:
        """What an interrupted training goes on from."""
        return {"best": self.best, "step": self.step, "waited": self.waited, "head": self.head}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint ended."""
        self.best, self.step = state_dict["best"], state_dict["step"]
        self.waited, self.head = state_dict["waited"], state_dict["head"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a measure that no metric has, or that the validation images say nothing of.

        Raises:
            OptionError: names the measures that there are, or says that there is no object.
        """
        metrics: Any = pl_module.metrics
        metric = next(iter(metrics.values()))
        groups = {measure.name: measure.group for measure in metric.measures}
        if self._measure not in groups:
            raise OptionError(unknown(f"validation.measure={self._measure}", set(groups)))
        if not _num_objects(metric, groups[self._measure]):
            self._refuse()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One that was interrupted when it was to end does so."""
        self._end_in_time(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare; every process has the same value."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        # Of one that failed there is no value, or Lightning still holds that of an earlier one.
        evaluated: Any = pl_module.variants
        if (first := next(iter(evaluated), None)) is None:
            return
        if first != self.head:  # its values are no other head's
            self.head, self.best, self.waited = first, -math.inf, 0
        quantity = Quantity("val", first, self._measure)
        value = float(trainer.callback_metrics[quantity.name])
        if value < 0:
            self._refuse()
        if value > self.best:
            self.best, self.step, self.waited = value, trainer.global_step, 0
            self._save(self.path)
        else:
            self.waited += 1
        rank_zero_info(
            f"validation after step {trainer.global_step}: {quantity} {value:.4f}, best "
            f"{self.best:.4f} after step {self.step}"
        )
        self._end_in_time(trainer)

    def _refuse(self) -> None:
        raise OptionError(
            f"validation.measure={self._measure}: the validation images have no object that it "
            "is of; choose another measure"
        )

    def _end_in_time(self, trainer: Trainer) -> None:
        if self._patience is not None and self.waited >= self._patience:
            rank_zero_info(
                f"{self.waited} validations without a better {self._measure}: this stage ends "
                f"(validation.patience={self._patience})"
            )
            trainer.should_stop = True


def _num_objects(metric: Any, group: str | None) -> int:
    """Objects of the validation images in a group of categories, or in all."""
    labels = metric.table.labels[metric.table.trainable]
    members = [each.members for each in metric.grouping.groups if group in (None, each.key)]
    return int(np.any(members, axis=0)[labels].sum())
