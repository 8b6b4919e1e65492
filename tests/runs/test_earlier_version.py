"""Runs that an earlier version began, of which the record lacks options of today."""

import copy
import shutil
from functools import cache

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from bacl.command.overview import CONF
from bacl.files.plain_values import read_yaml
from bacl.jobs import fit
from bacl.options.composed import plain
from bacl.runs.earlier_version import read_record

DEMO = "+experiment=bacl_demo"


@pytest.fixture(scope="module")
def composing(compose_config):
    """As a command: what composes it can do so again."""

    @cache
    def composed(*overrides: str) -> dict:
        config = compose_config(*overrides)
        with open_dict(config):
            config.data.num_classes, config.data.content, config.name = 12, "digest", "run"
        return plain(config)

    return composed


def without(config: dict, *paths: str) -> dict:
    """A record that does not know these options."""
    record = copy.deepcopy(config)
    for path in paths:
        *way, last = path.split(".")
        node = record
        for key in way:
            node = node[key]
        del node[last]
    return record


def read(recorded: dict, now: dict, *overrides: str):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return read_record(recorded, now, overrides)


@pytest.mark.parametrize(
    "path",
    [
        *("validation.take", "datamodule.orientation", "validation", "metric"),
        *("detector.rpn.channels", "stages.classifier.schedule.gamma"),
    ],
)
def test_an_option_that_a_record_does_not_know_is_as_by_default(composing, path):
    now = composing(DEMO)
    found = read(without(now, path), now, DEMO)
    assert not found.refusal
    assert list(found.later) == [path]
    assert found.config == now


def test_an_option_of_a_template_is_completed_wherever_it_stands(composing):
    now = composing(DEMO)
    paths = ("head.loss.alpha", "stages.classifier.heads.bacl.loss.alpha")
    assert read(without(now, *paths), now, DEMO).config == now


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["validation.every"], ["validation.every=1"]),
        (["validation.every"], ["validation={every:1}"]),
        (
            ["head.loss.alpha", "stages.classifier.heads.bacl.loss.alpha"],
            ["head.loss.alpha=0.123"],
        ),
        (["calibration"], ["calibration=norcal"]),
    ],
)
def test_what_the_command_asks_of_a_later_option_is_another_run(composing, paths, words):
    now = composing(DEMO, *words)
    found = read(without(now, *paths), now, DEMO, *words)
    assert f"began before there was {paths[0]}" in found.refusal
    assert "leave it as it is by default" in found.refusal


def test_a_word_that_says_the_default_changes_nothing(composing):
    now = composing(DEMO, "validation.take=last")
    assert not read(without(now, "validation.take"), now, DEMO, "validation.take=last").refusal


def test_what_an_experiment_came_to_ask_for_is_another_run(composing):
    now = composing(DEMO)  # with validation.… and trainer.… of its own
    path = "report.reference"  # free: of no interest
    assert not read(without(now, path), now, DEMO).refusal
    own = "datamodule.batch_size"  # 16 by default, another number in the experiment
    found = read(without(now, own), now, DEMO)
    assert f"{own}: 16 -> {now['datamodule']['batch_size']}" in found.refusal


def test_an_option_that_is_no_more_is_named(composing):
    now = composing(DEMO)
    record = copy.deepcopy(now)
    record["validation"]["burn_in"] = 3
    found = read(record, now, DEMO)
    assert "options that there are no more (validation.burn_in)" in found.refusal
    assert "the version that began it" in found.refusal


def test_another_value_is_another_configuration_beside_later_options(composing):
    now = composing(DEMO)
    record = without(now, "validation.take")
    record["seed"], record["masks"] = 3, True
    found = read(record, now, DEMO)
    assert "another configuration (masks: True -> False)" in found.refusal


@pytest.mark.parametrize(
    "words", [["balance=auto"], ["validation.every=1", "validation.take=best"]]
)
def test_choices_of_heads_and_of_steps_survive_too(composing, words):
    now = composing(DEMO, *words)
    paths = ("validation.measure", "stages.classifier.init.classifier", "detector.postprocess")
    assert read(without(now, *paths), now, DEMO, *words).config == now


def test_a_run_goes_on_and_its_record_then_knows_the_option(tiny, finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    record = run / "config.yaml"
    whole = read_yaml(record)
    record.write_text(yaml.safe_dump(without(whole, "validation.take", "datamodule.negatives")))
    fit.run(tiny("report.html=true"), run)
    assert read_yaml(record) == whole
    told = capsys.readouterr().out
    assert "begun before these were options: " in told
    assert "validation.take=last" in told
    assert "datamodule.negatives=False" in told


def test_an_unknown_option_of_the_record_ends_the_command(tiny, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    config = OmegaConf.load(run / "config.yaml")
    config.validation.burn_in = 3
    OmegaConf.save(config, run / "config.yaml")
    with pytest.raises(ValueError, match=r"no more \(validation\.burn_in\)"):
        fit.run(tiny("report.html=true"), run)
