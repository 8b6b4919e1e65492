"""Where a training is, as one value, and Lightning's counters made from it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Trainer


@dataclass(frozen=True)
class Place:
    """What is done, between two steps: always whole epochs, and whole steps of the next one."""

    epochs: int
    """Finished ones, with all that belongs to their ends."""
    batches: int
    """Of the epoch under way; after its last batch, what belongs to its end is still to come."""
    batches_per_epoch: int
    validates: bool = False
    """Whether a validation follows the last of these batches."""
    validated: bool = False
    """Whether it is done."""

    @classmethod
    def of(cls, trainer: Trainer, validates: bool = False, validated: bool = False) -> "Place":
        """Where a trainer is that is not in the middle of a step.

        The counters of all batches and of finished epochs are right in every hook; those of the
        epoch under way are still the last one's when the next one starts.
        """
        epochs = trainer.fit_loop.epoch_progress.current.completed
        per_epoch = int(trainer.num_training_batches)
        done = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        batches = done - epochs * per_epoch
        return cls(epochs, batches, per_epoch, validates and batches > 0, validated)

    @property
    def is_at_epoch_end(self) -> bool:
        """Whether an epoch has no batches left, but is not finished."""
        return self.batches == self.batches_per_epoch

    def counters(self, fit_loop: Mapping[str, Any], steps: int) -> dict[str, Any]:
        """The state of Lightning's `fit_loop` with which it goes on with what comes next.

        Lightning saves counters in the middle of counting and guesses from their differences, when
        it restarts, what had been done. At the end of an epoch it guesses wrong: two interruptions
        there train a step twice. These counters leave nothing to guess: every one says that what
        was begun is done, and

        - within an epoch, or where what belongs to its end is still to come, one more epoch is
          begun than is finished;
        - before a validation one batch of it is begun that is not finished, which lets it start.

        Args:
            fit_loop: state as Lightning saves it.
            steps: of the optimiser so far.
        """
        state = deepcopy(dict(fit_loop))
        begun = self.epochs + (self.batches > 0)
        for part in ("total", "current"):
            state["epoch_progress"][part] = {
                **_counts(begun), "processed": self.epochs, "completed": self.epochs
            }  # fmt: skip
        batches = state["epoch_loop.batch_progress"]
        batches["total"] = _counts(self.epochs * self.batches_per_epoch + self.batches)
        batches["current"] = _counts(self.batches)
        batches["is_last_batch"] = self.is_at_epoch_end
        waiting = self.validates and not self.validated
        validation = state["epoch_loop.val_loop.batch_progress"]
        validation["total"] = {**_counts(int(waiting)), "processed": 0, "completed": 0}
        validation["current"] = _counts(0)
        validation["is_last_batch"] = False
        # Where a validation is due, Lightning counts the step before it once more as it restarts.
        state["epoch_loop.state_dict"]["_batches_that_stepped"] = steps - self.validates
        return state


def _counts(number: int) -> dict[str, int]:
    return dict.fromkeys(("ready", "started", "processed", "completed"), number)
