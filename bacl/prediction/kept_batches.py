"""What was found so far, kept beside the results until they are whole: a kill costs one batch."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from bacl.files.atomic import replacing
from bacl.prediction.begun_files import BegunFiles
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.kept_file import DAMAGED, read_batch, write_batch

FOLDER, KEY, BEGUN = ".kept", "of.txt", "begun.txt"


class KeptBatches:
    """A file for each batch, and another that says what they are of, as each file does itself.

    Only a prediction of the same pictures with the same model goes on with them; others begin anew.

    Args:
        output: folder of the results.
        key: of the prediction, as `prediction_key` gives it.
    """

    def __init__(self, output: Path, key: str) -> None:
        self._folder, self._key = output / FOLDER, key
        self.begun = BegunFiles(output, self._folder / BEGUN)
        """What is written of the batches, until it is whole."""

    def known(self) -> Iterator[DetectedBatch]:
        """The batches of an earlier command, in order; what follows a damaged one is left out."""
        if not self.of_this:
            self.remove()
            return
        for number in range(len(list(self._folder.glob("*.npz")))):
            try:
                batch = read_batch(self._file(number), self._key)
            except DAMAGED:
                return
            yield batch

    def keep(self, number: int, batch: DetectedBatch) -> None:
        """Write the batch with this number, from 0, whole or not at all."""
        if not number:
            with replacing(self._folder / KEY) as path:
                path.write_text(self._key, encoding="utf-8")
        write_batch(self._file(number), self._key, batch)

    def remove(self) -> None:
        """Nothing is kept any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def of_this(self) -> bool:
        """Whether an interrupted command has kept anything of this very prediction."""
        try:
            return (self._folder / KEY).read_text(encoding="utf-8") == self._key
        except (OSError, UnicodeDecodeError):
            return False

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}.npz"
