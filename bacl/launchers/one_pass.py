"""A multirun whose jobs share one training wherever they differ only in classifier heads."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig

from bacl.jobs.configuration import changes, fixed, last_stage, plain
from bacl.jobs.naming import is_free
from bacl.jobs.plan import PLAN, PlannedJob, read_plan, write_plan
from bacl.launchers.jobs import Job
from bacl.launchers.process import ProcessLauncher
from bacl.launchers.tasks import Task

TRAININGS = "one_pass"
"""Folder of the trainings, beside the jobs' own folders."""
SCALED = ("16-mixed", "16", 16)
"""Precisions that scale all gradients by one factor, which depends on every head."""


class OnePassLauncher(ProcessLauncher):
    """Groups the jobs by everything but their last stage's heads and trains each group once.

    Every job gets the folder that a run of its own would have left. What differs elsewhere, or in a
    stage whose heads are not independent of each other, is trained apart.
    """

    def tasks(self, jobs: Sequence[Job]) -> list[Task]:
        """A process for each group; a job that is alone in its group is an ordinary run."""
        groups = grouped(jobs)
        explain(groups)
        return [
            self._together(group) if len(group.jobs) > 1 else self.task(group.jobs[0])
            for group in groups
        ]

    def _together(self, group: "Group") -> Task:
        if not (group.folder / PLAN).exists():
            planned = [PlannedJob(job.folder, job.overrides, job.config) for job in group.jobs]
            write_plan(group.folder, planned)
        for job in group.jobs:
            job.save_hydra()
        overrides = [*group.jobs[0].overrides, "job=fit_group"]
        command = self.command(overrides, group.folder)
        return Task(f"{len(group.jobs)} jobs in one pass", group.folder, command, group.jobs)


@dataclass
class Group:
    """Jobs that one training serves."""

    shared: dict[str, Any]
    """The resolved configuration without what the jobs may differ in."""
    jobs: list[Job] = field(default_factory=list)

    @cached_property
    def folder(self) -> Path:
        """Where it trains: the folder of an earlier training of all these jobs, or a new one."""
        parent = Path(self.jobs[0].composed.hydra.sweep.dir, TRAININGS).absolute()
        wanted = [_entry(job.folder, job.config) for job in self.jobs]
        for plan in sorted(parent.glob(f"*/{PLAN}")):
            known = [_entry(job.folder, job.config) for job in read_plan(plan.parent)]
            if set(wanted) <= set(known):
                return plan.parent
        return parent / hashlib.sha256("".join(wanted).encode()).hexdigest()[:12]

    @property
    def num_heads(self) -> int:
        """Different heads of all jobs."""
        heads = (
            head
            for job in self.jobs
            for head in plain(job.config)["stages"][last_stage(job.config)]["heads"].values()
        )
        return len({json.dumps(head, sort_keys=True) for head in heads})


def _entry(folder: Path, config: DictConfig) -> str:
    options = fixed(plain(config)) | {"stage": config.stage}
    return json.dumps([str(folder), options], sort_keys=True)


def grouped(jobs: Iterable[Job]) -> list[Group]:
    """The groups of the jobs, in the order of their first ones."""
    groups: dict[str, Group] = {}
    for job in jobs:
        shared = without_heads(job.config)
        key = json.dumps(shared, sort_keys=True)
        groups.setdefault(key, Group(shared)).jobs.append(job)
    return list(groups.values())


def without_heads(config: DictConfig) -> dict[str, Any]:
    """A job's configuration without heads that other jobs' heads may train beside."""
    options = plain(config)
    shared = {key: value for key, value in options.items() if not is_free(key)}
    # A run may be resumed with another stage or job, but jobs of a training share them.
    shared |= {key: options[key] for key in ("seed", "stage", "job")}
    del shared["head"]  # only a template: what is used of it is in the stages
    last = last_stage(config)
    module: Any = get_class(options["stages"][last]["module"]["_target_"])
    if module.independent_heads and config.trainer.precision not in SCALED and config.job == "fit":
        del options["stages"][last]["heads"]
    return shared


def explain(groups: Sequence[Group]) -> None:
    """Say how the jobs are grouped, and what keeps the groups apart."""
    for number, group in enumerate(groups, start=1):
        line = f"group {number}: {len(group.jobs)} jobs, {group.num_heads} different heads"
        if number > 1:
            line += f"; apart from group 1 by {', '.join(_apart(groups[0].shared, group.shared))}"
        print(line, flush=True)


def _apart(first: dict[str, Any], other: dict[str, Any], most: int = 4) -> list[str]:
    named = [
        f"{key}: {first[key]} -> {other[key]}"
        for key in ("seed", "stage", "job")
        if first[key] != other[key]
    ]
    return (named + changes(first, other))[:most]
