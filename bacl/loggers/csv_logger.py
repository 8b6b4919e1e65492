"""A metrics.csv that a resumed run continues."""

import csv
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger
from torch import Tensor

from bacl.files.atomic import remove, replacing, telling_refusal, telling_unreadable
from bacl.loggers.measurements import Quantity

_LOG = logging.getLogger(__name__)


class MetricsFile:
    """Rows of metrics in one CSV file; new rows are appended, whatever their columns.

    Lightning's own file is deleted when a run starts in a folder that is in use. This one goes on
    with the rows of earlier processes, as many as `keep` is told. A new metric adds a column at the
    end, for which the file is replaced as a whole, so that no interruption loses rows. Damaged rows
    are left out, as is the last one of a killed process where it is not complete.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder's metrics.csv, or begin one at the first `save`."""
        self.path = folder / "metrics.csv"
        self.metrics: list[dict[str, Any]] = []
        """Rows that are not in the file yet."""
        self._parameters: dict[str, Any] = {}
        with telling_refusal(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._columns, rows = _read(self.path)
        self.rows = len(rows)
        """Rows in the file."""
        self._dropped = [place for place, row in enumerate(rows) if row is None]
        """Which of the rows that were there are not any more."""
        # The last one may be what a killed process did not write to its end.
        if damaged := [place for place in self._dropped if place < len(rows) - 1]:
            _LOG.warning("%s: %d damaged rows are left out", self.path, len(damaged))
        if self._dropped or not self._columns:
            self._cut(self.rows)

    def keep(self, number: int) -> None:
        """Keep the first rows of those that were there, without the damaged ones, and no others."""
        self._cut(number - sum(place < number for place in self._dropped))
        self._dropped = []

    def _cut(self, number: int) -> None:
        columns, rows = _read(self.path)
        good = [row for row in rows[:number] if row is not None]
        self.rows = len(good)
        if len(good) == len(rows) and columns:
            return
        if good:
            self._rewrite(columns, good)
        else:
            remove(self.path)
            self._columns = []

    def keep_training(self) -> int:
        """Keep the rows of the training, and none of an evaluation after it.

        Returns:
            The step after its last one.
        """
        rows = _read(self.path)[1]
        trained = [n for n, row in enumerate(rows) if row is not None and _is_of_training(row)]
        self._cut(trained[-1] + 1 if trained else 0)
        return int((rows[trained[-1]] or {})["step"]) + 1 if trained else 0

    def log_metrics(self, metrics: Mapping[str, Tensor | float], step: int) -> None:
        """Add a row, to be written by `save`."""
        values = {name: v.item() if isinstance(v, Tensor) else v for name, v in metrics.items()}
        self.metrics.append({"step": step, **values})

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Write hparams.yaml."""
        self._parameters |= params
        with replacing(self.path.with_name("hparams.yaml")) as temporary:
            save_hparams_to_yaml(temporary, self._parameters)

    def save(self) -> None:
        """Append the new rows to the file."""
        if not self.metrics:
            return
        new = dict.fromkeys(name for row in self.metrics for name in row)
        missing = [name for name in new if name not in self._columns]
        if missing:
            rows = [row for row in _read(self.path)[1] if row is not None]
            self._rewrite([*self._columns, *missing], rows)
        with telling_refusal(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerows(self.metrics)
        self.rows += len(self.metrics)
        self.metrics = []

    def _rewrite(self, columns: list[str], rows: Sequence[dict[str, str]]) -> None:
        with (
            replacing(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        self._columns = columns


def read_rows(path: Path) -> Iterator[tuple[int, dict[Quantity, int | float]]]:
    """Step and values of every row of a metrics.csv, in the order in which they were logged.

    Raises:
        UserError: the file cannot be read.
    """
    for row in _read(path)[1]:
        if row is not None:
            step = int(row.pop("step"))
            yield step, {Quantity.named(n): _number(text) for n, text in row.items() if text}


def _read(path: Path) -> tuple[list[str], list[dict[str, str] | None]]:
    """Columns and rows of a metrics.csv; None for a row that is damaged.

    There are no columns, and no rows, where there is no file or its first line is damaged.

    Raises:
        UserError: the file cannot be read.
    """
    if not path.exists():
        return [], []
    with telling_unreadable(path):
        text = path.read_bytes().decode("utf-8", errors="replace")
    header, *lines, end = text.split("\n") if "\n" in text else ("", "")
    columns = _fields(header)
    if "step" not in columns or len(set(columns)) < len(columns) or "\ufffd" in header:
        return [], []
    unfinished = [None] if end else []  # what a killed process did not write to its end
    return columns, [*(_row(columns, line) for line in lines), *unfinished]


def _row(columns: list[str], line: str) -> dict[str, str] | None:
    fields = _fields(line)
    if len(fields) != len(columns):
        return None
    row = dict(zip(columns, fields, strict=True))
    numbers = all(text == "" or _is_number(text) for text in fields)
    return row if numbers and row["step"].isdecimal() else None


def _is_of_training(row: Mapping[str, str]) -> bool:
    """Whether a row has more than a validation logs; the end of an epoch is logged after one."""
    return any(
        v and k not in ("step", "epoch") and not k.startswith("val/") for k, v in row.items()
    )


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r")], strict=True), [])
    except csv.Error:  # as a line of something else than values
        return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


class CSVLogger(LightningCSVLogger):
    """Lightning's CSV logger, writing `metrics.csv` and `hparams.yaml` right into its folder."""

    def __init__(self, save_dir: str | os.PathLike[str]) -> None:
        """Log into `save_dir`, continuing what is there."""
        super().__init__(Path(save_dir), name="", version="")
        self._file: MetricsFile | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsFile:
        """The file, opened at the first use and by the first process only."""
        if self._file is None:
            self._file = self._experiment = MetricsFile(Path(self.log_dir))  # type: ignore[assignment]
        return self._file
