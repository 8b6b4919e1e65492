"""The plan of a one-pass training: the jobs whose heads one stage trains together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bacl.atomic import replacing
from bacl.errors import UserError

PLAN = "plan.yaml"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a multirun, as an ordinary run would have been started."""

    folder: Path
    overrides: list[str]
    config: DictConfig
    """Composed, without `hydra`; interpolations are not resolved yet."""
    waiting: bool = True
    """Whether it has no result yet."""


def write_plan(folder: Path, jobs: Sequence[PlannedJob]) -> None:
    """Write plan.yaml, as a whole or not at all."""
    entries = [
        {
            "folder": str(job.folder.absolute()),
            "overrides": job.overrides,
            "config": OmegaConf.to_container(job.config),
            "waiting": job.waiting,
        }
        for job in jobs
    ]
    with replacing(folder / PLAN) as path:
        OmegaConf.save({"jobs": entries}, path)


def read_plan(folder: Path) -> list[PlannedJob]:
    """The jobs of a one-pass training in its folder.

    Raises:
        UserError: there is no plan, or it is damaged.
    """
    if not (folder / PLAN).exists():
        raise UserError(
            f"{folder}: no {PLAN}; hydra/launcher=one_pass plans and starts such trainings"
        )
    try:
        plan: Any = OmegaConf.to_container(OmegaConf.load(folder / PLAN))
        return [_planned(entry) for entry in plan["jobs"]]
    except (YAMLError, OmegaConfBaseException, TypeError, LookupError) as error:
        raise UserError(f"{folder / PLAN} is damaged ({error}); delete its folder") from error


def _planned(entry: dict[str, Any]) -> PlannedJob:
    # A configuration of its own: interpolations are relative to its root.
    config = OmegaConf.create(entry["config"])
    OmegaConf.to_container(
        config, resolve=True
    )  # a plan that is cut short lacks what is referred to
    return PlannedJob(Path(entry["folder"]), entry["overrides"], config, entry["waiting"])
