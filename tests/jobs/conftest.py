"""The whole job on the tiny run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from bacl.jobs.outcome import write_done
from bacl.jobs.run_folder import write_text


@pytest.fixture
def mark_done(tmp_path):
    """Make the folder of a finished run of a setting below `tmp_path`, by the AP of its heads."""

    def make(setting: str, seed: int, heads: dict[str, float], *overrides: str) -> None:
        folder = tmp_path / setting / f"seed_{seed}"
        write_text(folder / "config.yaml", "")
        write_done(folder, "classifier", {head: {"AP": ap} for head, ap in heads.items()}, 1.0)
        given = OmegaConf.to_yaml(OmegaConf.create(list(overrides)))
        write_text(folder / ".hydra/overrides.yaml", given)

    return make


@pytest.fixture(scope="session")
def differing() -> Callable[[Path, Path], list[str]]:
    """Names of what differs, to the bit, between the final checkpoints of two runs."""

    def compared(first: Path, second: Path) -> list[str]:
        names = []
        for stage in ("representation", "classifier"):
            parts = [_flat(torch.load(run / stage / "final.ckpt")) for run in (first, second)]
            assert parts[0].keys() == parts[1].keys()
            names += [f"{stage}/{k}" for k, v in parts[0].items() if not _same(v, parts[1][k])]
        return names

    return compared


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Weights, buffers and states of generators by name; the configuration names the folder."""
    flat = {}
    for key, value in content.items():
        if isinstance(value, dict) and key != "config":
            flat |= _flat(value, f"{prefix}{key}.")
        elif key != "config":
            flat[prefix + key] = value
    return flat


def _same(first: Any, second: Any) -> bool:
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
