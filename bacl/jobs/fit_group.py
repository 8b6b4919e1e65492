"""job=fit_group: the jobs of a one-pass multirun train together, each one's heads as if alone.

The launcher (`bacl.launchers.one_pass_launcher`) starts it in the group's folder, where plan.yaml
lists the jobs. They differ only in the classifier heads of their last stage.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from bacl.assembly.data import open_data
from bacl.assembly.instantiate import instantiate
from bacl.messages.errors import UserError
from bacl.one_pass.plan import PlannedJob, read_plan
from bacl.one_pass.share_out import share_out
from bacl.options.comparison import require_right_options
from bacl.options.composed import last_stage, plain
from bacl.options.sections import Report
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import exclusive
from bacl.runs.outcome import write_failed
from bacl.runs.training import train_stages

Names = dict[str, str]
"""A job's names of its heads, to the group's names of them."""


def run(config: DictConfig, folder: Path) -> None:
    """Train and evaluate every head of the plan once; leave each job the folder of its own run."""
    began = time.monotonic()
    with exclusive(folder):
        planned = read_plan(folder)
        open_data(config)  # what the data decide is the same for every job: they name the same
        jobs = [job.completed(config) for job in planned]
        together, names = union(jobs)
        group = train_stages(together, folder, drops_heads=True)
        found = evaluate(group, wanted(jobs))
        seconds = time.monotonic() - began
        for job, heads in zip(jobs, names, strict=True):
            if job.waiting and heads:
                share_out(group, job, heads, found, seconds)
                group.trainer.strategy.barrier("job shared out")


def wanted(jobs: Sequence[PlannedJob]) -> Report:
    """A report that has what each of the jobs draws and saves."""
    reports = [plain(job.config)["report"] for job in jobs]
    return reports[0] | {
        "images": max(report["images"] for report in reports),
        "save_detections": any(report["save_detections"] for report in reports),
    }


def first_waiting(jobs: Sequence[PlannedJob]) -> PlannedJob:
    """A job with the options of the command that runs now."""
    return next((job for job in jobs if job.waiting), jobs[0])


def union(jobs: Sequence[PlannedJob]) -> tuple[DictConfig, list[Names]]:
    """One configuration with the different heads of all jobs, and which head is whose.

    Heads of equal configuration are one head: they would end with equal weights. A job with a head
    that cannot be built is a failure of its own and takes no part: it has no names.
    """
    together = first_waiting(jobs).config.copy()
    stage = last_stage(together)
    heads: dict[str, Any] = {}
    known: dict[str, str] = {}
    names: list[Names] = []
    for number, job in enumerate(jobs):
        names.append({})
        if not _can_be_built(job, stage):
            continue
        for own, node in job.config.stages[stage].heads.items():
            options = plain(node)
            name = known.setdefault(json.dumps(options, sort_keys=True), f"{own}_{number}")
            heads[name] = options
            names[-1][str(own)] = name
    if not heads:
        raise UserError("no job has heads that can be built; see the FAILED file of each")
    with open_dict(together):
        together.stages[stage].heads = heads
        del together["head"]  # only a template, of another job each time the training goes on
        together.report.reference = None
    return together, names


def _can_be_built(job: PlannedJob, stage: str) -> bool:
    try:
        require_right_options(job.config)
        for node in job.config.stages[stage].heads.values():
            instantiate(node)
    except UserError as error:
        write_failed(job.folder, str(error))
        return False
    return True
