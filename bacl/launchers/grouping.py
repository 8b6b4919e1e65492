"""Which jobs of a multirun one training serves: those that differ in nothing but their heads."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from omegaconf import DictConfig

from bacl.launchers.jobs import Job
from bacl.launchers.training_group import TrainingGroup
from bacl.one_pass.plan import can_be_planned
from bacl.one_pass.variants import unvaried
from bacl.options.composed import changes, last_stage, plain
from bacl.options.libraries import ScaledPrecision
from bacl.options.marked import is_shared, options_with
from bacl.options.marks import IN_COMMON
from bacl.options.sections import Report
from bacl.options.signatures import find
from bacl.runs.naming import variant_parts


def grouped(jobs: Iterable[Job]) -> list[TrainingGroup]:
    """The groups of the jobs, in the order of their first ones."""
    groups: dict[str, TrainingGroup] = {}
    for job in jobs:
        shared = without_heads(job.config, job.overrides)
        key = json.dumps(shared, sort_keys=True)
        groups.setdefault(key, TrainingGroup(shared)).jobs.append(job)
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


def explain(groups: Sequence[TrainingGroup]) -> None:
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
