"""A prediction: pictures are read, detected, written and drawn, a batch at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

from bacl.detectors.acceptance import Acceptance
from bacl.prediction.account import Account
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.detected_batches import DetectedBatches
from bacl.prediction.output import Predicted
from bacl.prediction.outputs import Outputs
from bacl.prediction.source import Source
from bacl.prediction.watch import PARTS
from bacl.prediction.written import Written
from bacl.processes.progress import count_progress


@dataclass(frozen=True)
class Prediction:
    """All that a prediction is made of; memory does not grow with the number of pictures."""

    source: Source
    batches: DetectedBatches
    accept: Mapping[str, Acceptance]
    """By head."""
    written: Written

    def carry_out(self, hidden: bool) -> Account:
        """Do all of it.

        Args:
            hidden: show no progress.

        Raises:
            UnreadableError: no picture can be read.
            UnwritableError: a file of results cannot be written.
        """
        account = Account(self.source.unit)
        if self.batches.kept is not None:
            self.batches.kept.begun.remove()
        with Outputs(self.written.outputs) as outputs:
            with count_progress("predicting", self.source.total, self.source.unit, hidden) as count:
                for batch in self.batches:
                    account.add(batch)
                    self._hand_over(batch, outputs)
                    count(len(batch))
            with self.batches.watch.part(PARTS[2]):
                outputs.finish()
            if not account.read:
                self._forget()  # the next command looks again
            account.tell_unreadable()
        self._forget()
        return account

    def _hand_over(self, batch: DetectedBatch, outputs: Outputs) -> None:
        self.written.results.leave_out(batch.unreadable)
        if batch.targets:
            named = self.source.named(batch.targets, batch.frames)
            with self.batches.watch.part(PARTS[2]):
                predicted = Predicted.of(batch, named, self.accept)
                self._note(predicted)
                outputs.write(predicted)

    def _note(self, predicted: Predicted) -> None:
        if self.batches.kept is not None:
            outputs = self.written.outputs
            self.batches.kept.begun.note(path for each in outputs for path in each.files(predicted))

    def _forget(self) -> None:
        if self.batches.kept is not None:
            self.batches.kept.remove()
