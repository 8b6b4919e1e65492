"""The plan of a one-pass training: the jobs whose heads one stage trains together.

It holds what the jobs differ in. All else is the command's, and what a plan says is checked like
any configuration from a file.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bacl.assembly.harmless import COUNTS, StoredConfigurationError, harmless
from bacl.files.atomic import replacing
from bacl.files.plain_values import read_yaml
from bacl.messages.errors import UserError, in_one_line
from bacl.options.composed import fixed, last_stage, plain, without_calls
from bacl.options.marked import options_with
from bacl.options.marks import OF_JOB

PLAN = "plan.yaml"
COUNTED = {"_target_": f"{COUNTS}.load", "annotations": "${data.train.annotations}"}
"""How a planned head may count categories: in the data that the command names."""
_DAMAGED = (TypeError, LookupError, AttributeError, ValueError, RuntimeError)
"""What values of another kind, and paths that are none, are refused with."""


@dataclass(frozen=True)
class PlannedJob:
    """One job of a multirun, as an ordinary run would have been started."""

    folder: Path
    overrides: list[str]
    config: DictConfig
    """Composed, without `hydra`, interpolations not resolved yet; of a plan that was read, what a
    plan holds."""
    waiting: bool = True
    """Whether it has no result yet."""
    known_as: str = ""
    """Its `identity`, where the plan says it."""

    @property
    def identity(self) -> str:
        """A digest of all that its result depends on, and of its folder."""
        return self.known_as or identity(self.folder, self.config)

    def completed(self, command: DictConfig) -> "PlannedJob":
        """The job with the configuration of a run of its own, from the command and the plan."""
        config, parts = command.copy(), planned(self.config)
        with open_dict(config):
            config.job = "fit"
            config.stages[last_stage(command)].heads = parts.pop("heads")
            config.update(parts)
        try:
            plain(config)
        except OmegaConfBaseException as error:
            raise UserError(
                f"{self.folder}: its {PLAN} is damaged ({in_one_line(error)})"
            ) from error
        return replace(self, config=config)


def identity(folder: Path, config: DictConfig) -> str:
    """What tells one job from another: its folder, and the options that its result depends on."""
    options = fixed(plain(config)) | {"stage": config.stage}
    told = json.dumps([str(folder), options], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def planned(config: DictConfig) -> dict[str, Any]:
    """What a plan holds of a job's configuration; what options refer to is not resolved."""
    values = without_calls(config)
    if "heads" in values:  # of a plan that was read
        return values
    heads = values["stages"][last_stage(config)]["heads"]
    own = {option: values[option] for option in options_with(OF_JOB) if option in values}
    return own | {"heads": heads}


def can_be_planned(config: DictConfig) -> bool:
    """Whether a plan would be taken: none of its heads needs more than a file may name.

    A choice among heads is of a run of its own, and so is one among steps: the heads of a training
    share its detector, and with it the step that it ends with.
    """
    if config.get("choice") is not None or _ends_early(config):
        return False
    parts = planned(config)
    try:
        return _harmless(parts, Path(PLAN)) == parts
    except StoredConfigurationError:
        return False


def _ends_early(config: DictConfig) -> bool:
    validation = config.get("validation") or {}
    return validation.get("take") == "best" or validation.get("patience") is not None


def write_plan(folder: Path, jobs: Sequence[PlannedJob]) -> None:
    """Write plan.yaml, as a whole or not at all."""
    entries = [
        {
            "folder": str(job.folder.absolute()),
            "overrides": job.overrides,
            "config": planned(job.config),
            "waiting": job.waiting,
            "identity": job.identity,
        }
        for job in jobs
    ]
    with replacing(folder / PLAN) as path:
        OmegaConf.save({"jobs": entries}, path)


def read_plan(folder: Path) -> list[PlannedJob]:
    """The jobs of a one-pass training in its folder; `completed` makes runs of them.

    Raises:
        UserError: there is no plan, or it is damaged, or asks for more than a file may.
    """
    path = folder / PLAN
    if not path.exists():
        raise UserError(
            f"{folder}: no {PLAN}; hydra/launcher=one_pass plans and starts such trainings"
        )
    try:
        jobs = [_read(entry, path) for entry in read_yaml(path)["jobs"]]
    except UserError:
        raise
    except (*_DAMAGED, OmegaConfBaseException) as error:
        reason = in_one_line(error)
        raise UserError(f"{path} is damaged ({reason}); delete its folder") from error
    if not jobs:
        raise UserError(f"{path} is damaged (it has no job); delete its folder")
    return jobs


def _read(entry: dict[str, Any], path: Path) -> PlannedJob:
    folder, parts = Path(entry["folder"]), entry["config"]
    runs = path.absolute().parents[2].resolve()
    if runs not in folder.resolve().parents:
        raise UserError(f"{path}: {str(folder)!r} lies outside {runs}, where its runs are")
    config = OmegaConf.create(_harmless(parts, path))
    overrides, waiting, known_as = entry["overrides"], entry["waiting"], entry["identity"]
    texts = isinstance(overrides, list) and all(isinstance(text, str) for text in overrides)
    if not (texts and isinstance(waiting, bool) and isinstance(known_as, str) and known_as):
        raise TypeError("overrides are texts, waiting is true or false, identity is a text")
    return PlannedJob(folder, overrides, config, waiting, known_as)


def _harmless(parts: dict[str, Any], path: Path) -> dict[str, Any]:
    nodes = {key: part for key, part in parts.items() if not isinstance(part, str | int)}
    words = {key: part for key, part in parts.items() if key not in nodes}
    # What an earlier version did not know of jobs is the command's, as it was then.
    known = {"heads"} <= set(parts) <= {*options_with(OF_JOB), "heads"}
    if not known or "${" in "".join(map(str, words.values())):
        raise StoredConfigurationError(f"{path}: {sorted(parts)}: not what a plan holds")
    return words | harmless(nodes, path, COUNTED, refers=True)
