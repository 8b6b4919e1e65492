"""A multirun whose jobs share one training wherever they differ only in classifier heads."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig

from bacl.launchers.jobs import Job
from bacl.launchers.process_launcher import ProcessLauncher
from bacl.launchers.tasks import Task
from bacl.messages.errors import UserError
from bacl.one_pass.earlier_training import trains
from bacl.one_pass.plan import (
    PLAN,
    PlannedJob,
    can_be_planned,
    identity,
    read_plan,
    write_plan,
)
from bacl.one_pass.variants import PlannedTest, can_vary, unvaried, write_variants
from bacl.options.composed import changes, last_stage, plain
from bacl.options.libraries import ScaledPrecision
from bacl.options.marked import is_shared, options_with
from bacl.options.marks import IN_COMMON
from bacl.options.sections import Report
from bacl.options.signatures import find
from bacl.runs.naming import variant_parts

TRAININGS = "one_pass"
"""Folder of the trainings, beside the jobs' own folders."""


class OnePassLauncher(ProcessLauncher):
    """Groups the jobs by everything but their last stage's heads and trains each group once.

    Every job gets the folder that a run of its own would have left. What differs elsewhere, or in a
    stage whose heads are not independent of each other, is trained apart, unless only the
    calibrations differ. Of job=test, those that
    evaluate one checkpoint with other calibrations or suppressions are one evaluation.
    """

    def tasks(self, jobs: Sequence[Job]) -> list[Task]:
        """A process for each group; a job that is alone, and of no earlier group, runs alone."""
        tests = [job for job in jobs if can_vary(job.config, job.overrides)]
        groups = grouped(job for job in jobs if job not in tests)
        explain(groups)
        return [
            self._together(group, group.jobs[0].overrides, "fit_group")
            if len(group.jobs) > 1 or group.is_planned
            else self.task(group.jobs[0])
            for group in groups
        ] + [
            self._together(group, unvaried(group.jobs[0].overrides), "test_group")
            if len(group.jobs) > 1
            else self.task(group.jobs[0])
            for group in grouped_tests(tests)
        ]

    def _together(self, group: "Group | TestGroup", overrides: Sequence[str], job: str) -> Task:
        command = self.command([*overrides, f"job={job}"], group.folder)
        title = f"{len(group.jobs)} jobs in one pass"
        return Task(title, group.folder, command, group.jobs, before=group.write)


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


@dataclass
class TestGroup:
    """Evaluations of one checkpoint."""

    jobs: list[Job] = field(default_factory=list)

    @cached_property
    def folder(self) -> Path:
        """Where the plan lies."""
        told = json.dumps([job.overrides for job in self.jobs])
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        return Path(self.jobs[0].composed.hydra.sweep.dir, TRAININGS, f"test_{digest}").absolute()

    def write(self) -> None:
        """Write the plan."""
        write_variants(self.folder, [PlannedTest.of(x.config, x.overrides) for x in self.jobs])


def grouped_tests(jobs: Iterable[Job]) -> list[TestGroup]:
    """The evaluations that one pass serves, in the order of their first ones."""
    groups: dict[tuple[str, ...], TestGroup] = {}
    for job in jobs:
        groups.setdefault(tuple(unvaried(job.overrides)), TestGroup()).jobs.append(job)
    return list(groups.values())


def _plans(parent: Path) -> list[Path]:
    return sorted(parent.glob(f"*/{PLAN}"))


def _readable_plan(folder: Path) -> list[PlannedJob]:
    try:
        return read_plan(folder)
    except UserError as error:  # of another training, maybe: it must not stop this one
        print(f"{error}; it is not used", flush=True)
        return []


def grouped(jobs: Iterable[Job]) -> list[Group]:
    """The groups of the jobs, in the order of their first ones."""
    groups: dict[str, Group] = {}
    for job in jobs:
        shared = without_heads(job.config, job.overrides)
        key = json.dumps(shared, sort_keys=True)
        groups.setdefault(key, Group(shared)).jobs.append(job)
    return list(groups.values())


def without_heads(config: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A job's configuration without heads that other jobs' heads may train beside."""
    options = plain(config)
    shared = {key: value for key, value in options.items() if is_shared(key)}
    common = options_with(IN_COMMON, Report)
    shared["report"] = {key: options["report"][key] for key in common}
    last = last_stage(config)
    module = options["stages"][last]["module"]
    if not shares_training(config, module):
        shared["overrides"] = variant_parts(overrides)  # equal to no other job's
    elif has_independent_heads(config, module):
        del shared["stages"][last]["heads"]
    else:
        shared["overrides"] = unvaried(variant_parts(overrides))
    return shared


def shares_training(config: DictConfig, module: dict[str, Any]) -> bool:
    """Whether a job trains, and as well under other names of its heads, as a plan says them."""
    named = [text for text in module["trainable"] if text.lstrip("!").startswith("heads.")]
    # Heads have other names in a training of many.
    return config.job == "fit" and can_be_planned(config) and all(x == "heads.*" for x in named)


def has_independent_heads(config: DictConfig, module: dict[str, Any]) -> bool:
    """Whether the heads of a job's last stage depend on nothing that another job's heads change."""
    stage: Any = find(module["_target_"], f"stages.{last_stage(config)}.module")
    scaled = config.trainer.precision in get_args(ScaledPrecision)
    return getattr(stage, "independent_heads", False) and not scaled


def explain(groups: Sequence[Group]) -> None:
    """Say how the jobs are grouped, and what keeps the groups apart."""
    for number, group in enumerate(groups, start=1):
        line = f"group {number}: {len(group.jobs)} jobs, {group.num_heads} different heads"
        if number > 1:
            line += f"; apart from group 1 by {', '.join(_apart(groups[0].shared, group.shared))}"
        print(line, flush=True)


def _apart(first: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The first few options in which they differ."""
    named = [
        f"{key}: {first[key]} -> {other[key]}"
        for key in options_with(IN_COMMON)
        if first[key] != other[key]
    ]
    return (named + changes(first, other))[:4]
