"""Jobs of a multirun that one evaluation serves."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bacl.launchers.jobs import Job
from bacl.launchers.training_group import TRAININGS
from bacl.one_pass.variants import PlannedTest, unvaried, write_variants


@dataclass
class EvaluationGroup:
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


def grouped_tests(jobs: Iterable[Job]) -> list[EvaluationGroup]:
    """The evaluations that one pass serves, in the order of their first ones."""
    groups: dict[tuple[str, ...], EvaluationGroup] = {}
    for job in jobs:
        groups.setdefault(tuple(unvaried(job.overrides)), EvaluationGroup()).jobs.append(job)
    return list(groups.values())
