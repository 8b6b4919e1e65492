"""Jobs of a multirun that one training serves, and where it trains."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bacl.launchers.jobs import Job
from bacl.messages.errors import UserError
from bacl.one_pass.earlier_training import trains
from bacl.one_pass.plan import PLAN, PlannedJob, identity, read_plan, write_plan
from bacl.options.composed import last_stage, plain

TRAININGS = "one_pass"
"""Folder of the trainings, beside the jobs' own folders."""


@dataclass
class TrainingGroup:
    """Jobs that one training serves."""

    shared: dict[str, Any]
    """The resolved configuration without what the jobs may differ in."""
    jobs: list[Job] = field(default_factory=list)

    @cached_property
    def folder(self) -> Path:
        """Where it trains: the folder of an earlier training of all these jobs, or a new one."""
        parent = Path(self.jobs[0].composed.hydra.sweep.dir, TRAININGS).absolute()
        wanted = [identity(job.folder, job.config) for job in self.jobs]
        plans = {path.parent: _readable_plan(path.parent) for path in _plans(parent)}
        for path, jobs in plans.items():
            if set(wanted) <= {job.identity for job in jobs}:
                return path
        for path, jobs in plans.items():
            if all(trains(path, jobs, job) for job in self._asked()):
                return path
        return parent / hashlib.sha256("".join(wanted).encode()).hexdigest()[:12]

    def plan(self) -> list[PlannedJob]:
        """All jobs of the training, in an earlier plan's order, which names the heads.

        These jobs wait for their results, with the options of this command.
        """
        earlier = read_plan(self.folder) if self.is_planned else []
        jobs = {job.folder: replace(job, waiting=False) for job in earlier}
        return list((jobs | {job.folder: job for job in self._asked()}).values())

    def _asked(self) -> list[PlannedJob]:
        return [PlannedJob(job.folder, job.overrides, job.config) for job in self.jobs]

    def write(self) -> None:
        """Write the plan, and what Hydra leaves of ordinary runs; only while no training reads it.

        A plan that another command's training goes by must keep the jobs that wait for it.
        """
        write_plan(self.folder, self.plan())
        for job in self.jobs:
            job.save_hydra()

    @property
    def is_planned(self) -> bool:
        """Whether an earlier command began the training, or left jobs of it to be shared out."""
        return (self.folder / PLAN).exists()

    @property
    def num_heads(self) -> int:
        """Different heads of all jobs."""
        heads = (
            head
            for job in self.jobs
            for head in plain(job.config)["stages"][last_stage(job.config)]["heads"].values()
        )
        return len({json.dumps(head, sort_keys=True) for head in heads})


def _plans(parent: Path) -> list[Path]:
    return sorted(parent.glob(f"*/{PLAN}"))


def _readable_plan(folder: Path) -> list[PlannedJob]:
    try:
        return read_plan(folder)
    except UserError as error:  # of another training, maybe: it must not stop this one
        print(f"{error}; it is not used", flush=True)
        return []
