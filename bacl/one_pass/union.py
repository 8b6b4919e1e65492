"""The heads of many jobs in one stage, and what is evaluated of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from bacl.assembly.build import with_calibration
from bacl.assembly.instantiate import instantiate
from bacl.assembly.stored import CALIBRATION
from bacl.assembly.trial import try_to_build
from bacl.heads import Calibration
from bacl.heads.calibration import Uncalibrated
from bacl.messages.dispensable import reason
from bacl.messages.errors import UserError
from bacl.one_pass.plan import PlannedJob
from bacl.options.comparison import require_right_options
from bacl.options.composed import last_stage, plain
from bacl.runs.outcome import write_failed
from bacl.stages.detection import Variant


@dataclass(frozen=True)
class Shared:
    """A head of a job in the training of all."""

    head: str
    """Its name among those that train."""
    variant: str
    """Its name among those that are evaluated: it may be calibrated in several ways."""


Names = Mapping[str, Shared]
"""By the job's own names of its heads."""


@dataclass
class Union:
    """The different heads of all jobs, and which head is whose."""

    config: DictConfig
    """Of the training."""
    heads: dict[str, Any] = field(default_factory=dict)
    """Options by name. Heads of equal options are one head: they would end with equal weights."""
    names: list[dict[str, Shared]] = field(default_factory=list)
    """Of each job, by its own names of its heads; empty where one of them cannot be built."""
    calibrations: dict[str, Any] = field(default_factory=dict)
    """Options by variant, None for none."""
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, number: int, job: PlannedJob, stage: str) -> None:
        """Take in the heads of a job, which can be built."""
        shared = plain(job.config).get(CALIBRATION)
        if not self.heads:  # the same one each time the training goes on
            self.config[CALIBRATION] = shared
        for own, node in job.config.stages[stage].heads.items():
            options = plain(node)
            head = self._name(options, f"{own}_{number}")
            self.heads[head] = options
            calibration = with_calibration(options, shared)[CALIBRATION]
            free = head if head not in self.calibrations else f"{own}_{number}"
            variant = self._name([head, calibration], free)
            self.calibrations[variant] = calibration
            self.names[-1][str(own)] = Shared(head, variant)

    def variants(self) -> dict[str, Variant]:
        """What is evaluated: every head with every calibration that a job has it with."""
        made = {name: self._calibration(name) for name in self.calibrations}
        owned = {each.variant: each.head for names in self.names for each in names.values()}
        return {name: Variant(head, made[name]) for name, head in owned.items()}

    def _name(self, options: Any, free: str) -> str:
        return self._known.setdefault(json.dumps(options, sort_keys=True), free)

    def _calibration(self, variant: str) -> Calibration:
        node = self.calibrations[variant]
        return instantiate(OmegaConf.create(node), Calibration) if node else Uncalibrated()


def union(jobs: Sequence[PlannedJob]) -> Union:
    """What trains of all jobs together.

    A job with a head that cannot be built is a failure of its own and takes no part.

    Raises:
        UserError: there is no other.
    """
    made = Union(first_waiting(jobs).config.copy())
    stage = last_stage(made.config)
    with open_dict(made.config):
        for number, job in enumerate(jobs):
            made.names.append({})
            if _can_be_built(job, stage):
                made.add(number, job, stage)
        if not made.heads:
            raise UserError("no job has heads that can be built; see the FAILED file of each")
        made.config.stages[stage].heads = made.heads
        del made.config["head"]  # only a template, of another job each time the training goes on
        made.config.report.reference = None
    return made


def _can_be_built(job: PlannedJob, stage: str) -> bool:
    try:
        require_right_options(job.config)
        for node in job.config.stages[stage].heads.values():
            instantiate(node)
        if job.config.get(CALIBRATION) is not None:
            try_to_build(job.config)
    except Exception as error:  # of one job; what the others have in common fails later
        write_failed(job.folder, reason(error))
        return False
    return True


def first_waiting(jobs: Sequence[PlannedJob]) -> PlannedJob:
    """A job with the options of the command that runs now."""
    return next((job for job in jobs if job.waiting), jobs[0])
