"""Whether a one-pass training that an earlier version began is one of a job of today."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bacl.files.plain_values import read_yaml
from bacl.messages.errors import UserError
from bacl.one_pass.plan import PlannedJob
from bacl.options.composed import last_stage, plain
from bacl.options.marked import options_with
from bacl.options.marks import OF_JOB
from bacl.runs.earlier_version import decided_alike, read_record


def trains(folder: Path, planned: Iterable[PlannedJob], job: PlannedJob) -> bool:
    """Whether a training goes on as that of a job.

    The digest in a plan is of all options that there were; one more makes another of it. So what
    the plan and the training's record hold is read as `read_record` does.

    Args:
        folder: of the training.
        planned: its jobs.
        job: of a command.
    """
    earlier = next((each for each in planned if each.folder == job.folder), None)
    recorded = _record(folder / "config.yaml")
    now = decided_alike(job.config, recorded)
    if earlier is None or now is None:
        return False
    own = plain(earlier.completed(now).config)
    pairs = ((own, plain(now)), (_shared(recorded, now), _shared(plain(now), now)))
    return not any(read_record(was, is_now, job.overrides).refusal for was, is_now in pairs)


def _record(path: Path) -> Any:
    try:
        return read_yaml(path) if path.exists() else None
    except UserError as error:  # of another training, maybe: it must not stop this one
        print(f"{error}; it is not used", flush=True)
        return None


def _shared(config: dict[str, Any], now: DictConfig) -> dict[str, Any]:
    """What jobs that train together have in common, but for what reports hold."""
    common = {key: value for key, value in config.items() if key not in options_with(OF_JOB)}
    last = last_stage(now)
    stages = config["stages"]
    heads: dict[str, Any] = {"heads": {}}
    return common | {"stages": stages | {last: stages[last] | heads}}
