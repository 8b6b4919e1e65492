"""The jobs of a multirun: what each is composed of, where its run lies and how it ended."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from bacl.command.check import wrong_command
from bacl.command.explained import explanation
from bacl.files.plain_values import read_yaml
from bacl.messages.errors import UserError
from bacl.options.composed import last_stage, plain
from bacl.runs.earlier_version import decided_alike, read_record
from bacl.runs.naming import test_folder
from bacl.runs.outcome import Outcome, read_outcome

STARTS_JOBS = re.compile(r"[+~]*hydra[/.](launcher|sweeper)\b")
"""Overrides of the plugins that make and start the jobs, of which each job has Hydra's own."""


@dataclass
class Job:
    """One job of a multirun."""

    number: int
    overrides: list[str]
    """Of the task, as an ordinary command would have them."""
    composed: DictConfig
    """With `hydra`."""
    title: str
    """The overrides that not all jobs share, in one line."""
    exit_status: int | None = None
    """Of its process, where it ran."""

    @cached_property
    def config(self) -> DictConfig:
        """The job's configuration without `hydra`; interpolations are not resolved."""
        config = self.composed.copy()
        with open_dict(config):
            del config["hydra"]
        return config

    @cached_property
    def folder(self) -> Path:
        """Where the run lies: the same as with every other launcher."""
        hydra = HydraConfig.instance()
        earlier = hydra.cfg
        hydra.set_config(self.composed)  # for resolvers that ask for it
        try:
            sweep = self.composed.hydra.sweep
            return Path(sweep.dir, sweep.subdir).absolute()
        finally:
            hydra.cfg = earlier

    @property
    def trains(self) -> bool:
        """Whether it leaves a finished run, which need not be run again."""
        return self.config.job == "fit"

    @property
    def outcome(self) -> Outcome:
        """How the job ended; what leaves more than a finished run is judged by its process."""
        if self.trains:
            return read_outcome(self.folder, last_stage(self.config))
        end = Outcome({None: "not run", 0: "done"}.get(self.exit_status, "failed"))
        return read_outcome(self._judged) if end.status == "done" and self._judged else end

    @property
    def _judged(self) -> Path | None:
        """Where a job that ended well has left results, if it has any."""
        return self.folder if self.config.job == "rebalance" else self._tested

    @property
    def _tested(self) -> Path | None:
        """Where job=test leaves the results of a checkpoint."""
        if self.config.job != "test" or self.config.checkpoint is None:
            return None
        annotations = Path(self.config.data.val.annotations)
        return Path(self.config.checkpoint).parent / test_folder(annotations, self.overrides)

    @property
    def conflict(self) -> str:
        """What differs between the job and the run that its folder holds already."""
        recorded = self.folder / "config.yaml"
        if not self.trains or not recorded.exists():
            return ""
        earlier = read_yaml(recorded)
        now = decided_alike(self.config, earlier)
        if now is None:
            return f"{recorded}: damaged"
        refusal = read_record(earlier, plain(now), self.overrides).refusal
        return f"{self.folder} {refusal}" if refusal else ""

    def save_hydra(self) -> None:
        """Leave in the folder what Hydra leaves of an ordinary run."""
        folder = self.folder / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "config.yaml")
        OmegaConf.save({"hydra": self.composed.hydra}, folder / "hydra.yaml")
        OmegaConf.save(self.overrides, folder / "overrides.yaml")

    def returned(self) -> JobReturn:
        """What Hydra's sweepers expect of a launcher."""
        end = self.outcome
        result = JobReturn(
            overrides=self.overrides,
            cfg=self.config,
            hydra_cfg=self.composed.hydra,
            working_dir=str(self.folder),
            task_name=self.composed.hydra.job.name,
            status=JobStatus.COMPLETED,
        )
        result.return_value = end.measures.get("AP")
        return result


def compose_jobs(
    context: HydraContext, master: DictConfig, overrides: Sequence[Sequence[str]], first: int
) -> list[Job]:
    """Compose every job before any of them runs.

    Raises:
        UserError: options that cannot be meant or that nothing reads, or a folder with a run of
            another configuration.
    """
    common = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    own = _of_a_job(master)
    jobs = [
        _composed(context, own, list(job), number, common)
        for number, job in enumerate(overrides, start=first)
    ]
    _refuse_wrong_options(jobs)
    folders = Counter(job.folder for job in jobs)
    shared = [job.title for job in jobs if folders[job.folder] > 1]
    if shared:
        raise UserError(
            f"these jobs differ in nothing that names a folder, and would share one: {shared}; run "
            "one of them, or give each its own name=…"
        )
    conflicts = [job.conflict for job in jobs if job.conflict]
    if conflicts:
        raise UserError("these folders hold runs of other configurations:\n" + "\n".join(conflicts))
    return jobs


def hydra_overrides(master: DictConfig) -> list[str]:
    """Hydra's overrides of a multirun, as they were given, but for those that start jobs.

    A job starts none. A sweep also chooses its launcher: a job, which knows of no sweep, has
    another one, that need not have the same options.
    """
    given = plain(master.hydra.overrides, resolve=False)["hydra"]  # not what a `${…}` stands for
    return [text for text in given if not STARTS_JOBS.match(text)]


def _of_a_job(master: DictConfig) -> DictConfig:
    """Of a multirun's configuration, what its jobs are composed from."""
    own = master.copy()
    with read_write(own.hydra):
        own.hydra.overrides.hydra = hydra_overrides(master)
    return own


def _refuse_wrong_options(jobs: Sequence[Job]) -> None:
    wrong = {line: job for job in jobs for line in wrong_command(job.config, job.overrides)}
    if wrong:
        raise UserError("\n".join(f"{line} (in: {job.title})" for line, job in wrong.items()))


def _composed(
    context: HydraContext, master: DictConfig, overrides: list[str], number: int, common: set[str]
) -> Job:
    try:
        composed = context.config_loader.load_sweep_config(master, overrides)
    except HydraException as error:
        raise UserError(explanation(overrides, error)) from None
    with open_dict(composed):
        composed.hydra.job.id = str(number)
        composed.hydra.job.num = number
    title = " ".join(text for text in overrides if text not in common) or "(as it is)"
    return Job(number, list(composed.hydra.overrides.task), composed, title)
