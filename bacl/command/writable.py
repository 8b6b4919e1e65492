"""Hydra writes into a run's folder before the job begins; whether it can is found out earlier."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bacl.files.atomic import UnwritableError, telling_refusal
from bacl.files.leftovers import unfinished

PROBE = 1 << 16
"""Bytes; more than Hydra's own files have."""


class WritableFolder(Callback):
    """Ends a command whose folder takes no files, in one message."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Try the folder of a run."""
        _require(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Try the folder of a multirun."""
        _require(Path(config.hydra.sweep.dir))


def _require(folder: Path) -> None:
    try:
        probe(folder)
    except UnwritableError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_status) from None


def probe(folder: Path) -> None:
    """Make the folder, write a file in it and remove it.

    Raises:
        UnwritableError: one of them is refused.
    """
    trial = unfinished(folder / "writable")
    with telling_refusal(folder, trial):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            trial.write_bytes(bytes(PROBE))
        finally:
            trial.unlink(missing_ok=True)
