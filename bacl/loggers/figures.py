"""Figures from the run's folder into the loggers that can show them."""

from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from matplotlib.image import imread

from bacl.loggers.spared_logger import attempt_all


@rank_zero_only
def log_figure(loggers: Iterable[Logger], key: str, path: Path, step: int) -> None:
    """Show a PNG under `key` in W&B and TensorBoard; other loggers have the file beside them."""
    attempt_all(loggers, lambda logger: _show(logger, key, path, step))


def _show(logger: Logger, key: str, path: Path, step: int) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image(key, [str(path)], step=step)
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(key, imread(path), step, dataformats="HWC")
