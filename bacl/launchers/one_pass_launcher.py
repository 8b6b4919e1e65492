"""A multirun whose jobs share one training wherever they differ only in classifier heads."""

from collections.abc import Sequence

from bacl.launchers.evaluation_group import EvaluationGroup, grouped_tests
from bacl.launchers.grouping import explain, grouped
from bacl.launchers.jobs import Job
from bacl.launchers.process_launcher import ProcessLauncher
from bacl.launchers.tasks import Task
from bacl.launchers.training_group import TrainingGroup
from bacl.one_pass.variants import can_vary, unvaried


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

    def _together(
        self, group: TrainingGroup | EvaluationGroup, overrides: Sequence[str], job: str
    ) -> Task:
        command = self.command([*overrides, f"job={job}"], group.folder)
        title = f"{len(group.jobs)} jobs in one pass"
        return Task(title, group.folder, command, group.jobs, before=group.write)
