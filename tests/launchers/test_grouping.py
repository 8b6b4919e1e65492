"""How jobs of a multirun are composed, grouped and found again."""

import json
import re
import sys
from dataclasses import replace

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from bacl.command.check import CONF
from bacl.files.lock import LOCKS, lock
from bacl.files.plain_values import read_yaml
from bacl.launchers.grouping import grouped, without_heads
from bacl.launchers.jobs import Job
from bacl.launchers.one_pass_launcher import OnePassLauncher
from bacl.launchers.tasks import LOG, Processes
from bacl.launchers.training_group import TrainingGroup
from bacl.messages.errors import UserError
from bacl.one_pass.earlier_training import trains
from bacl.one_pass.plan import PlannedJob, identity, read_plan, write_plan
from bacl.runs.folder import write_text
from bacl.runs.outcome import read_outcome, write_done, write_failed


@pytest.fixture
def job(tmp_path):
    """Composes a job of a multirun below tmp_path."""

    def composed(*overrides: str) -> Job:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", overrides=list(overrides), return_hydra_config=True)
        with open_dict(config):
            config.hydra.sweep.dir = str(tmp_path)
            config.hydra.sweep.subdir = "-".join(overrides[1:]) or "default"
        return Job(0, list(overrides), config, " ".join(overrides[1:]))

    return composed


DEMO = "+experiment=bacl_demo"


def sizes(*jobs: Job) -> list[int]:
    return [len(group.jobs) for group in grouped(jobs)]


@pytest.mark.parametrize(
    "override",
    [
        "head.loss.alpha=0.3",
        "name=2024",
        "head.hallucination.samples=3",
        "head.hallucination.box_generator.shared=true",
        "fhm@head.hallucination=none",
        "indicator@head.loss.indicator=mean_score",
        "head=bce_objectness",
        "calibration=norcal",
        "head.learning_rate=0.1",
        "stages.classifier.heads.baseline.loss.prior=0.01",
        "logger=tensorboard",
        "report.images=2",
    ],
)
def test_jobs_that_differ_in_heads_share_a_training(job, override):
    assert sizes(job(DEMO), job(DEMO, override)) == [2]


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "stages.classifier.schedule.learning_rate=0.1",
        "stages.representation.heads.representation.loss.prior=0.01",
        "detector.sampler.sampler.count=32",
        "data.builder.seed=1",
        "stage=representation",
        "trainer.gradient_clip_val=1.0",
        "report.score_threshold=0.3",
    ],
)
def test_jobs_that_differ_elsewhere_train_apart(job, override):
    assert sizes(job(DEMO), job(DEMO, override), job(DEMO, "head.loss.alpha=0.1")) == [2, 1]


FIRST_HEAD = "stages.representation.heads.representation.loss.prior"


@pytest.mark.parametrize(
    ("common", "option"),
    [
        (["+experiment=bacl_demo_end_to_end"], "head.loss.alpha"),  # the extractor learns from it
        ([DEMO, "stage=representation"], FIRST_HEAD),
        ([DEMO, "trainer.precision=16-mixed"], "head.loss.alpha"),  # one factor for all gradients
    ],
)
def test_heads_that_depend_on_each_other_train_apart(job, common, option):
    assert sizes(*[job(*common, f"{option}={value}") for value in (0.1, 0.2)]) == [1, 1]


def test_fits_that_differ_in_calibrations_alone_train_once(job):
    """Also where the extractor trains, which learns of no calibration."""
    common = ["+experiment=bacl_demo_end_to_end"]
    jobs = [job(*common, f"calibration={name}") for name in ("none", "norcal", "shift")]
    assert sizes(*jobs, job(*common, "calibration=none", "head.loss.alpha=0.1")) == [3, 1]


def test_jobs_without_a_calibration_of_all_heads_are_planned(job):
    assert sizes(job(DEMO, "~calibration"), job(DEMO, "~calibration", "name=a")) == [2]


def test_tests_and_preparations_are_no_trainings(job):
    equal = ("head.loss.alpha=0.85", "head.loss.threshold=0.7")  # both are what they are anyway
    jobs = [job(DEMO, "job=test", override) for override in equal]
    assert sizes(*jobs) == [1, 1]
    assert sizes(*[job(DEMO, override) for override in equal]) == [2]


def test_heads_that_are_named_among_what_trains_are_trained_apart(job):
    named = 'stages.classifier.module.trainable=["heads.bacl.*","heads.baseline.*"]'
    assert sizes(*[job(DEMO, named, f"head.loss.alpha={alpha}") for alpha in (0.1, 0.2)]) == [1, 1]


def test_the_shared_part_names_no_head(job):
    shared = without_heads(job(DEMO).config)
    assert "heads" not in shared["stages"]["classifier"]
    assert "heads" in shared["stages"]["representation"]
    assert "head" not in shared


def test_a_training_of_the_same_jobs_is_found_again(job):
    jobs = [job(DEMO, f"head.loss.alpha={alpha}") for alpha in (0.1, 0.2, 0.3)]
    (group,) = grouped(jobs)
    write_plan(group.folder, [PlannedJob(j.folder, j.overrides, j.config) for j in jobs])
    (rest,) = grouped(jobs[1:])
    assert rest.folder == group.folder
    assert rest.is_planned
    assert [planned.waiting for planned in rest.plan()] == [False, True, True]
    assert [planned.folder for planned in rest.plan()] == [each.folder for each in jobs]
    (group.folder.parent / "broken").mkdir()
    write_text(group.folder.parent / "broken/plan.yaml", "jobs:\n- folder: [")
    more = TrainingGroup(rest.shared, [*jobs[1:], job(DEMO, "head.loss.alpha=0.4")])
    assert more.folder != group.folder
    assert more.folder.parent == group.folder.parent


def test_a_training_that_an_earlier_version_began_is_found_again(job):
    jobs = [job(DEMO, f"head.loss.alpha={alpha}") for alpha in (0.1, 0.2, 0.3)]
    (group,) = grouped(jobs)
    planned = [PlannedJob(j.folder, j.overrides, j.config, known_as="of then") for j in jobs]
    write_plan(group.folder, planned)
    plan = read_yaml(group.folder / "plan.yaml")
    for entry in plan["jobs"]:
        del entry["config"]["head"]["loss"]["overconfident"], entry["config"]["calibration"]
    write_text(group.folder / "plan.yaml", yaml.safe_dump(plan))
    record = OmegaConf.create(_as_recorded(jobs[0], alpha=0.1))
    record.stages.classifier.heads = {"bacl_0": record.head}
    del record["head"], record.validation["take"]
    OmegaConf.save(record, group.folder / "config.yaml", resolve=True)
    (rest,) = grouped(jobs[1:])
    assert rest.folder == group.folder
    assert [each.waiting for each in rest.plan()] == [False, True, True]
    record.stages.representation.schedule.epochs += 1
    OmegaConf.save(record, group.folder / "config.yaml")
    (others,) = grouped(jobs[1:])
    assert others.folder != group.folder


def test_a_job_of_other_heads_is_not_of_an_earlier_training(job):
    first = job(DEMO, "head.loss.alpha=0.1")
    other = job(DEMO, "head.loss.alpha=0.2")
    planned = PlannedJob(first.folder, other.overrides, other.config, known_as="of then")
    (group,) = grouped([first])
    write_plan(group.folder, [planned])
    record = OmegaConf.create(_as_recorded(other, alpha=0.2))
    OmegaConf.save(record, group.folder / "config.yaml")
    assert not trains(group.folder, read_plan(group.folder), asked(first))
    assert trains(group.folder, read_plan(group.folder), replace(asked(other), folder=first.folder))


def asked(job: Job) -> PlannedJob:
    return PlannedJob(job.folder, job.overrides, job.config)


@pytest.mark.skipif(not LOCKS, reason="there are no such locks")
def test_a_plan_that_another_launcher_goes_by_stays_as_it_is(job, capsys):
    jobs = [job(DEMO, f"head.loss.alpha={alpha}") for alpha in (0.1, 0.2, 0.3)]
    (group,) = grouped(jobs)
    group.write()
    launcher = OnePassLauncher()
    launcher.master = OmegaConf.create({"hydra": {"overrides": {"hydra": []}}})
    (task,) = launcher.tasks(jobs[1:])
    task.patience, task.command = 0.0, [sys.executable, "-c", ""]
    with (group.folder / LOG).open("ab") as log:
        lock(log.fileno(), group.folder)
        task.run(Processes())
    assert "not started" in capsys.readouterr().out
    assert [planned.waiting for planned in read_plan(group.folder)] == [True, True, True]
    task.run(Processes())  # the other one has ended
    assert [planned.waiting for planned in read_plan(group.folder)] == [False, True, True]


def test_a_plan_survives_the_file_with_its_interpolations(job, tmp_path):
    first = job(DEMO, "head.loss.alpha=0.1")
    write_plan(tmp_path, [PlannedJob(tmp_path / "x", first.overrides, first.config)])
    (read,) = read_plan(tmp_path)
    assert (read.folder, read.overrides) == (tmp_path / "x", first.overrides)
    assert read.identity == identity(tmp_path / "x", first.config)
    command = job(DEMO, "head.loss.alpha=0.2").config
    command.data.num_classes = 7
    planned = read.completed(command)
    assert planned.config.stages.classifier.heads.bacl.loss.num_classes == 7
    command.head = planned.config.head  # all that differs
    assert planned.config == command
    assert planned.config.head.loss.alpha == 0.1


def test_jobs_of_an_earlier_plan_have_the_calibration_of_their_command(job, tmp_path):
    first = job(DEMO, "calibration=shift")
    write_plan(tmp_path, [PlannedJob(tmp_path / "x", first.overrides, first.config)])
    plan = OmegaConf.to_container(OmegaConf.load(tmp_path / "plan.yaml"))
    del plan["jobs"][0]["config"]["calibration"]
    write_text(tmp_path / "plan.yaml", json.dumps(plan))
    (read,) = read_plan(tmp_path)
    command = job(DEMO, "calibration=norcal").config
    command.data.num_classes = 7
    assert read.completed(command).config.calibration == command.calibration


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"head": {"_target_": "os.system"}}, "head._target_: a file may not name 'os.system'"),
        (
            {"heads": {"bacl": {"_target_": "bacl.data.builtin.data_set.build"}}},
            "heads.bacl._target_: ",
        ),
        ({"report": {"reference": "${oc.env:HOME}"}}, "report.reference: '${oc.env:HOME}' is text"),
        ({"heads": {"bacl": "${oc.decode:${name}}"}}, "heads.bacl: "),
        ({"name": "${oc.env:HOME}"}, "not what a plan holds"),
        ({"trainer": {"_target_": "os.system"}}, "not what a plan holds"),
        ({"data": {"builder": {}}}, "not what a plan holds"),
    ],
)
def test_a_plan_asks_for_no_more_than_a_file_may(job, tmp_path, change, told):
    first = job(DEMO, "head.loss.alpha=0.1")
    write_plan(tmp_path, [PlannedJob(tmp_path / "x", first.overrides, first.config)])
    plan = OmegaConf.to_container(OmegaConf.load(tmp_path / "plan.yaml"))
    plan["jobs"][0]["config"] |= change
    write_text(tmp_path / "plan.yaml", json.dumps(plan))
    with pytest.raises(UserError, match=rf"^[^\n]*{re.escape(told)}[^\n]*$"):
        read_plan(tmp_path)


def test_a_plan_writes_to_no_folder_elsewhere(job, tmp_path):
    first = job(DEMO, "head.loss.alpha=0.1")
    elsewhere = tmp_path / "runs/../../../../elsewhere"
    write_plan(tmp_path, [PlannedJob(elsewhere, first.overrides, first.config)])
    with pytest.raises(UserError, match="outside"):
        read_plan(tmp_path)


def test_heads_that_a_plan_may_not_name_are_trained_apart(job):
    own = "head.loss._target_=somewhere.Loss"
    assert sizes(*[job(DEMO, own, f"head.loss.alpha={alpha}") for alpha in (0.1, 0.2)]) == [1, 1]


def test_a_folder_of_another_configuration_is_a_conflict(job):
    first = job(DEMO, "head.loss.alpha=0.1")
    assert first.conflict == ""
    write_text(first.folder / "config.yaml", _as_recorded(first, alpha=0.1))
    assert first.conflict == ""
    write_text(first.folder / "config.yaml", _as_recorded(first, alpha=0.2))
    assert "alpha: 0.2 -> 0.1" in first.conflict


def _as_recorded(job: Job, alpha: float) -> str:
    config = job.config.copy()
    with open_dict(config):
        config.data.num_classes = 12
        config.data.content = "digest"
        config.head.loss.alpha = alpha
    return OmegaConf.to_yaml(config, resolve=True)


def test_a_run_of_another_stage_alone_is_not_this_job(job):
    whole, first = job(DEMO), job(DEMO, "stage=representation")
    for each in (whole, first):
        write_done(each.folder, "representation", {"representation": {"AP": 0.1}}, 1.0)
    assert (whole.outcome.status, first.outcome.status) == ("unfinished", "done")


def test_damaged_records_are_no_records(job, tmp_path, capsys):
    for text in ("", '{"stage": "cla'):
        write_text(tmp_path / "DONE", text)
        assert read_outcome(tmp_path).status == "not run"
        assert "DONE is damaged" in capsys.readouterr().out
    first = job(DEMO)
    write_text(first.folder / "config.yaml", "seed: 0\n")
    assert "damaged" in first.conflict


def test_a_new_start_forgets_a_failure_and_success_removes_it(tmp_path):
    write_failed(tmp_path, "the disk is full")
    assert read_outcome(tmp_path).reason == "the disk is full"
    write_done(tmp_path, "classifier", {"bacl": {"AP": 0.1}}, 1.0)
    assert read_outcome(tmp_path).status == "done"
    assert [path.name for path in tmp_path.iterdir()] == ["DONE"]


def test_a_stage_that_is_no_class_is_told(job):
    with pytest.raises(UserError, match=r"^stages\.classifier\.module\._target_=nowhere\.Stage: "):
        grouped([job(DEMO, "stages.classifier.module._target_=nowhere.Stage")])
