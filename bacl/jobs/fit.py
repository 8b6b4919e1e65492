"""job=fit: the stages of the configuration in order, then the evaluation of the last."""

from pathlib import Path

from omegaconf import DictConfig

from bacl.runs.folder import exclusive
from bacl.runs.run_through import fit


def run(config: DictConfig, folder: Path) -> float:
    """Train what is not finished, evaluate, report, choose; returns AP of the first head.

    Raises:
        LostHeadsError: see `bacl.runs.run_through.fit`.
    """
    with exclusive(folder):
        return fit(config, folder).value
