"""The plan of a one-pass training: the jobs whose heads one stage trains together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bacl.atomic import replacing

PLAN = "plan.yaml"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a multirun, as an ordinary run would have been started."""

    folder: Path
    overrides: list[str]
    config: DictConfig
    """Composed, without `hydra`; interpolations are not resolved yet."""


def write_plan(folder: Path, jobs: Sequence[PlannedJob]) -> None:
    """Write plan.yaml, as a whole or not at all."""
    entries = [
        {
            "folder": str(job.folder.absolute()),
            "overrides": job.overrides,
            "config": OmegaConf.to_container(job.config),
        }
        for job in jobs
    ]
    with replacing(folder / PLAN) as path:
        OmegaConf.save({"jobs": entries}, path)


def read_plan(folder: Path) -> list[PlannedJob]:
    """The jobs of a one-pass training in its folder."""
    plan: Any = OmegaConf.to_container(OmegaConf.load(folder / PLAN))
    return [
        # A configuration of its own: interpolations are relative to its root.
        PlannedJob(Path(entry["folder"]), entry["overrides"], OmegaConf.create(entry["config"]))
        for entry in plan["jobs"]
    ]
