"""job=prepare: make, download or check the data, and build their annotation tables once."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import prepare_process
from bacl.data.preparation import prepare
from bacl.options.composed import plain


def run(config: DictConfig, folder: Path) -> None:
    """Leave data that `job=fit` can start from, or say what is missing and where it comes from."""
    prepare_process()
    data = plain(config.data)
    builder: Any = instantiate(config.data.get("builder"))
    prepare(data["root"], data["name"], data["train"], data["val"], builder)
