"""job=fit_group: the jobs of a one-pass multirun train together, each one's heads as if alone.

The launcher (`bacl.launchers.one_pass`) starts it in the group's folder, where plan.yaml lists the
jobs. They differ only in the classifier heads of their last stage.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from bacl.jobs.build import open_data
from bacl.jobs.configuration import last_stage, plain
from bacl.jobs.fit import train_stages
from bacl.jobs.outcome import read_outcome
from bacl.jobs.plan import PlannedJob, read_plan
from bacl.jobs.run_folder import exclusive
from bacl.jobs.share_out import share_out

_log = logging.getLogger(__name__)

Names = dict[str, str]
"""A job's names of its heads, to the group's names of them."""


def run(config: DictConfig, folder: Path) -> float:
    """Train and evaluate every head of the plan once; leave each job the folder of its own run."""
    began = time.monotonic()
    with exclusive(folder):
        jobs = read_plan(folder)
        fill_in_data([job.config for job in jobs])
        together, names = union(jobs)
        stage, trainer = train_stages(together, folder, drops_heads=True)
        trainer.validate(stage, datamodule=trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
        seconds = time.monotonic() - began
        for job, heads in zip(jobs, names, strict=True):
            if read_outcome(job.folder).status != "done":
                share_out(folder, job, heads, stage, trainer, seconds)
            trainer.strategy.barrier("job shared out")
    return 0.0


def fill_in_data(configs: list[DictConfig]) -> None:
    """What the data decide, in every configuration: they name the same data."""
    first = configs[0]
    open_data(first)
    for config in configs[1:]:
        with open_dict(config):
            config.data = first.data


def union(jobs: list[PlannedJob]) -> tuple[DictConfig, list[Names]]:
    """One configuration with the different heads of all jobs, and which head is whose.

    Heads of equal configuration are one head: they would end with equal weights.
    """
    together = jobs[0].config.copy()
    stage = last_stage(together)
    heads: dict[str, Any] = {}
    known: dict[str, str] = {}
    names: list[Names] = []
    for number, job in enumerate(jobs):
        names.append({})
        for own, node in job.config.stages[stage].heads.items():
            options = plain(node)
            name = known.setdefault(json.dumps(options, sort_keys=True), f"{own}_{number}")
            heads[name] = options
            names[-1][str(own)] = name
    with open_dict(together):
        together.stages[stage].heads = heads
        together.report.reference = None
    return together, names
