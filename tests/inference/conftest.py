from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import bacl
from bacl.checkpoints.handover import load_stage


@pytest.fixture(scope="session")
def checkpoint(finished) -> Path:
    return finished / "classifier/final.ckpt"


@pytest.fixture
def model(checkpoint) -> bacl.Model:
    return bacl.load(checkpoint)


@pytest.fixture
def changed(checkpoint, tmp_path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """The checkpoint after a change of what it holds."""

    def make(change: Callable[[dict[str, Any]], object]) -> Path:
        content = load_stage(checkpoint)
        change(content)
        torch.save(content, tmp_path / "changed.ckpt")
        return tmp_path / "changed.ckpt"

    return make


@pytest.fixture(scope="session")
def files(tiny, finished) -> list[Path]:
    """The validation pictures."""
    return sorted(Path(tiny().data.val.images).glob("*.jpg"))
