"""job=fit_group: the jobs of a one-pass multirun train together, each one's heads as if alone.

The launcher (`bacl.launchers.one_pass_launcher`) starts it in the group's folder, where plan.yaml
lists the jobs. They differ only in the classifier heads of their last stage, and in what calibrates
these.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.data import open_data
from bacl.assembly.instantiate import instantiate
from bacl.evaluation.thresholds.objectives import Objective
from bacl.one_pass.plan import PlannedJob, read_plan
from bacl.one_pass.share_out import share_out
from bacl.one_pass.union import union
from bacl.options.composed import plain
from bacl.options.sections import Report
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import exclusive
from bacl.runs.training import train_stages


def run(config: DictConfig, folder: Path) -> None:
    """Train and evaluate every head of the plan once; leave each job the folder of its own run."""
    began = time.monotonic()
    with exclusive(folder):
        planned = read_plan(folder)
        open_data(config)  # what the data decide is the same for every job: they name the same
        jobs = [job.completed(config) for job in planned]
        together = union(jobs)
        variants = together.variants()
        group = train_stages(together.config, folder, drops_heads=True, variants=variants)
        alive = {name: v for name, v in variants.items() if v.head not in group.stage.dropped}
        objective = instantiate(together.config.thresholds, Objective)
        found = evaluate(group, wanted(jobs), alive, objective=objective)
        seconds = time.monotonic() - began
        for job, names in zip(jobs, together.names, strict=True):
            if job.waiting and names:
                share_out(group, job, names, found, seconds)
                group.trainer.strategy.barrier("job shared out")


def wanted(jobs: Sequence[PlannedJob]) -> Report:
    """A report that has what each of the jobs that have no result yet draws and saves."""
    waiting = [job for job in jobs if job.waiting] or jobs
    reports = [plain(job.config)["report"] for job in waiting]
    return reports[0] | {
        "images": max(report["images"] for report in reports),
        "save_detections": any(report["save_detections"] for report in reports),
        "label_errors": max(report["label_errors"] for report in reports),
        "errors": any(report["errors"] for report in reports),
        "html": any(report["html"] for report in reports),
    }
