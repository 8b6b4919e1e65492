"""job=prepare: make, download or check the data, and build their annotation tables once."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from bacl.data.prepare import prepare
from bacl.jobs.run_folder import plain


def run(config: DictConfig, folder: Path) -> None:
    """Leave data that `job=fit` can start from, or say what is missing and where it comes from."""
    options = plain(config.data)
    options.pop("num_classes")
    prepare(**(options | {"builder": instantiate(config.data.get("builder"))}))
