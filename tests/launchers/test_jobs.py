"""What is found out about the jobs of a multirun before any of them runs."""

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode

from bacl.command.check import CONF
from bacl.launchers.jobs import Job, compose_jobs
from bacl.messages.errors import UserError
from bacl.runs.outcome import write_done

DEMO = "+experiment=bacl_demo"


@pytest.fixture
def jobs_of(tmp_path):
    """Composes the jobs of a multirun below `tmp_path`, each of its own options."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        place = [f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=${hydra.job.num}"]
        # A sweep's launcher has options that the one of a job by itself does not have.
        sweep = [DEMO, "+sweep=alpha", "hydra.launcher.parallel=2", "hydra.sweeper.params=null"]
        master = hydra.config_loader.load_configuration(
            "config", [*place, *sweep], RunMode.MULTIRUN
        )
        earlier = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(master)
        context = HydraContext(hydra.config_loader, Callbacks())

        def composed(*options: str) -> list[Job]:
            return compose_jobs(context, master, [[DEMO, option] for option in options], 0)

        yield composed
        HydraConfig.instance().cfg = earlier


def test_a_job_has_what_its_command_would_have(jobs_of):
    jobs = jobs_of("head.loss.alpha=0.2", "head.loss.alpha=0.5")
    assert [job.config.head.loss.alpha for job in jobs] == [0.2, 0.5]
    assert [job.title for job in jobs] == ["head.loss.alpha=0.2", "head.loss.alpha=0.5"]
    assert [job.folder.name for job in jobs] == ["0", "1"]
    assert [job.overrides for job in jobs] == [
        [DEMO, "head.loss.alpha=0.2"],
        [DEMO, "head.loss.alpha=0.5"],
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("head.loss.alpha=abc", r"^head\.loss\.alpha=abc: expected a number of at least 0.* \(in:"),
        ("masks=abc", "^masks=abc: expected true or false"),
        ("report.images=2.5", r"^report\.images=2\.5: expected a whole number"),
        ("+report.imgs=2", r"^report\.imgs: no such option; did you mean images\?"),
        ("head.loss.alfa=2", r"^head\.loss\.alfa: no such option; did you mean alpha\?"),
        ("head=bacll", r"^head=bacll: no such option; did you mean bacl\?"),
        ("detector.rpn.channels=0", r"^detector\.rpn\.channels=0: expected a whole number"),
        ("export.head=bacl", "^export.head=bacl: job=fit does not read it, only job=export"),
    ],
)
def test_one_job_that_cannot_be_meant_refuses_them_all(jobs_of, option, message):
    with pytest.raises(UserError, match=message):
        jobs_of("head.loss.alpha=0.5", option)


def test_what_a_job_chooses_is_no_option_of_another_kind(jobs_of):
    first, second = jobs_of(
        "indicator@head.loss.indicator=mean_score", "fhm@head.hallucination=none"
    )
    assert first.config.head.loss.indicator != second.config.head.loss.indicator


def test_a_job_that_hands_back_has_the_results_of_its_run(jobs_of, tmp_path):
    """Once its process has ended well; a killed one may have a finished training alone."""
    (job,) = jobs_of("head.loss.alpha=0.2")
    job.config.job = "rebalance"
    write_done(job.folder, "classifier", {"theirs": {"AP": 0.25}}, 3.0)
    assert (job.outcome.status, job.outcome.measures) == ("not run", {})
    job.exit_status = 0
    assert (job.outcome.status, job.outcome.measures) == ("done", {"AP": 0.25})
    assert job.returned().return_value == 0.25
    job.exit_status = 1
    assert job.outcome.status == "failed"
