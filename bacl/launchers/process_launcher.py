"""A multirun whose jobs are processes of their own."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from bacl.launchers.job_table import show_summary, write_summary
from bacl.launchers.jobs import Job, compose_jobs, hydra_overrides
from bacl.launchers.tasks import Task, run_all
from bacl.messages.errors import BUSY, OptionError, UserError, require


class ProcessLauncher(Launcher):
    """Runs every job as `python run.py <overrides>` in a fresh process.

    Nothing leaks from job to job, several devices per job work, and a job that fails leaves the
    others alone. A job's folder is where Hydra's own launchers would put it: jobs that are DONE are
    not run again, interrupted ones go on.

    Args:
        parallel: jobs at a time.
    """

    def __init__(self, parallel: int = 1) -> None:
        super().__init__()
        try:
            require("hydra.launcher.parallel", parallel, 1)
        except OptionError as error:
            raise SystemExit(str(error)) from None
        self.parallel = parallel

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what jobs are composed with."""
        self.context = hydra_context
        self.master = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs that are not finished; print a line for each, and a table at the end.

        Raises:
            SystemExit: a job failed or, before any of them runs, one cannot be run; with BUSY where
                another launcher is at work on all that is left.
        """
        HydraConfig.instance().set_config(self.master)
        try:
            jobs = compose_jobs(self.context, self.master, job_overrides, initial_job_idx)
            self._run(jobs)
        except UserError as error:
            raise SystemExit(str(error)) from None
        undone = [job for job in jobs if job.outcome.status != "done"]
        if undone:
            raise SystemExit(BUSY if all(job.exit_status == BUSY for job in undone) else 1)
        return [job.returned() for job in jobs]

    def _run(self, jobs: Sequence[Job]) -> None:
        waiting = [job for job in jobs if not _is_done(job)]
        try:
            run_all(self.tasks(waiting), self.parallel)
        finally:
            show_summary(jobs)
            write_summary(Path(self.master.hydra.sweep.dir, "sweep.csv"), jobs)

    def tasks(self, jobs: Sequence[Job]) -> list[Task]:
        """The processes that bring these jobs to their ends."""
        return [self.task(job) for job in jobs]

    def task(self, job: Job) -> Task:
        """The process of an ordinary run."""
        return Task(job.title, job.folder, self.command(job.overrides, job.folder), [job])

    def command(self, overrides: Sequence[str], folder: Path) -> list[str]:
        """The ordinary command that trains in this folder."""
        hydra = hydra_overrides(self.master)
        single = ["hydra.mode=RUN", f"hydra.run.dir={quoted(str(folder))}"]
        return [sys.executable, sys.argv[0], *hydra, *overrides, *single]


def quoted(text: str) -> str:
    """A value that Hydra takes as this very text, whatever is in it."""
    escaped = re.sub(r"(\\*)(\$\{)", r"\1\1\\\2", text)  # or it would stand for another option
    return QuotedString(escaped, Quote.single).with_quotes()


def _is_done(job: Job) -> bool:
    end = job.outcome
    done = end.status == "done" and not end.part  # one of a part is evaluated again
    if done:
        print(f"{job.title}: done before, see {job.folder}", flush=True)
    return done
