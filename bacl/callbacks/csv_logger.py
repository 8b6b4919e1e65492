"""A metrics.csv that a resumed run continues."""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger
from torch import Tensor

from bacl.atomic import replacing, telling_refusal


class MetricsFile:
    """Rows of metrics in one CSV file; new rows are appended, whatever their columns.

    Lightning's own file is deleted when a run starts in a folder that is in use. This one keeps
    every row of earlier processes. A new metric adds a column at the end, for which the file is
    replaced as a whole, so that no interruption loses rows. A row that a killed process left
    incomplete is dropped.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder's metrics.csv, or begin one at the first `save`."""
        self.path = folder / "metrics.csv"
        self.metrics: list[dict[str, Any]] = []
        """Rows that are not in the file yet."""
        self._parameters: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._columns = self._adopt()

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
            self._rewrite([*self._columns, *missing])
        with telling_refusal(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerows(self.metrics)
        self.metrics = []

    def _adopt(self) -> list[str]:
        """The columns of a file that is there; its incomplete last row is cut off."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes()
        complete = text[: text.rfind(b"\n") + 1]
        if len(complete) < len(text):
            with replacing(self.path) as temporary:
                temporary.write_bytes(complete)
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, columns: list[str]) -> None:
        rows: list[dict[str, str]] = []
        if self._columns:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        with (
            replacing(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        self._columns = columns


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, int | float]]]:
    """Step and values of every row of a metrics.csv, in the order in which they were logged."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step"))
            yield step, {name: _number(text) for name, text in row.items() if text}


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


class CSVLogger(LightningCSVLogger):
    """Lightning's CSV logger, writing `metrics.csv` and `hparams.yaml` right into its folder.

    Steps that a resumed run repeats appear twice; the later row is the one that counts.
    """

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
