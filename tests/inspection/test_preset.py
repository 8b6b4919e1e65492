"""Every command that is suggested can be composed, and sets what it says."""

import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from bacl.command.check import wrong_command
from bacl.inspection.advice import Setting, Stage
from bacl.inspection.advised_training import batch_advice, hallucination_advice
from bacl.inspection.preset import command, preset, with_preset

STAGES = (Stage("representation", 12, 500), Stage("classifier", 12, 500))
SETTING = Setting(
    stages=STAGES,
    batch_size=16,
    anchor_scale=8,
    hallucinated_rows=96,
    chooses=False,
    decoupled=True,
    gpu=False,
)


def eight_times(data):
    """The same as if the stages saw the pictures eight times as large."""
    frames = data.views[0].frames
    large = replace(frames, scale=frames.scale * 8, size=frames.size * 8)
    return replace(
        data, views=[data.train.view("representation, classifier", large), data.views[1]]
    )


def parts(data, setting):
    return {advice.part: advice.overrides for advice in preset(data, setting)}


@pytest.fixture
def large_tail(files, monkeypatch):
    """As if there were many images with a long tail."""
    data = files.inspected()
    monkeypatch.setattr("bacl.inspection.advised_training.imbalance", lambda counts: 50.0)
    monkeypatch.setattr("bacl.inspection.advised_training.FEWEST_JUDGES", 3)
    return data


def test_the_command_can_be_composed(large_tail, compose_config):
    advice = preset(eight_times(large_tail), SETTING)
    text = command(
        with_preset(["+experiment=bacl_custom", "job=data", "inspection.steps=1"], advice)
    )
    python, script, *overrides = shlex.split(text)
    assert (python, script) == ("python", "run.py")
    config = compose_config(*overrides, "data.num_classes=3")
    assert wrong_command(config, overrides) == []
    assert config.job == "fit"
    assert config.choice is not None
    assert config.stages.classifier.augment.test.short_sides == [80]


def test_what_the_preset_changes_stands_once(large_tail):
    given = ["datamodule.batch_size=16", "+experiment=bacl_custom", "seed=1"]
    text = command(with_preset(given, preset(large_tail, SETTING)))
    assert text.count("datamodule.batch_size") == 1
    assert text.startswith("python run.py +experiment=bacl_custom seed=1 ")


def test_few_images_have_small_batches_and_many_epochs(files):
    found = parts(files.inspected(), SETTING)
    assert found["batch"] == ("datamodule.batch_size=2",)  # 10 images
    assert "stages.representation.schedule.epochs=36" in found["schedule"]
    assert "stages.representation.schedule.milestones=[24,33]" in found["schedule"]
    assert "stages.representation.schedule.warmup_steps=18" in found["schedule"]


@pytest.mark.parametrize(("gpu", "expected"), [(True, ()), (False, ("datamodule.batch_size=8",))])
def test_what_a_gpu_holds_is_not_second_guessed(files, gpu, expected):
    data = files.inspected()
    vars(data.train)["used"] = np.ones(10_000, bool)
    setting = replace(SETTING, batch_size=64, gpu=gpu, processes=8)
    advice, size = batch_advice(data, setting, side=200)
    assert advice.overrides == expected
    assert size == (64 if gpu else 8)
    assert gpu or "a CPU" in advice.reason


def test_what_does_as_well_is_kept(files):
    stages = [Stage(stage.name, 40, 10) for stage in STAGES]
    setting = replace(SETTING, stages=stages, batch_size=2, chooses=True, hallucinated_rows=None)
    found = parts(files.inspected(), setting)
    kept = ("scale", "batch", "schedule", "sampler", "balance", "hallucinated rows")
    assert [found[part] for part in kept] == [()] * len(kept)


def test_pictures_in_another_scale_come_out_in_their_own(files):
    found = parts(eight_times(files.inspected()), SETTING)["scale"]
    assert found[0] == "augment@stages.representation.augment=own_size"
    assert "stages.classifier.augment.test.short_sides=[80]" in found


def test_large_pictures_have_the_papers_size(files):
    data = files.inspected()
    table = data.train.table
    table.image_sizes = np.full_like(table.image_sizes, 600)
    found = parts(data, SETTING)["scale"]
    stages = ("representation", "classifier")
    assert found == tuple(f"augment@stages.{stage}.augment=scale_jitter" for stage in stages)


def test_without_a_stage_that_balances_the_sampler_does(large_tail):
    setting = replace(SETTING, stages=[Stage("end_to_end", 24, 500)], decoupled=False)
    found = parts(large_tail, setting)
    assert found["sampler"] == ("sampler=repeat_factor",)
    assert found["balance"] == ()


def test_anchors_that_are_too_large_become_smaller(files):
    data = files.inspected()
    found = parts(replace(data, anchors=data.anchors.scaled(8)), SETTING)
    assert found["anchors"] == ("detector.rpn.anchors.scale=2",)


def test_a_detector_without_anchors_has_none_to_choose(files):
    found = parts(replace(files.inspected(), anchors=None), replace(SETTING, anchor_scale=None))
    assert found["anchors"] == ()


def test_every_part_has_a_reason(files):
    for advice in preset(files.inspected(), SETTING):
        assert re.search(r"\w", advice.reason)


@pytest.mark.parametrize(
    ("rows", "batch", "processes", "expected"),
    [
        (96, 24, 1, ()),  # four for each
        (96, 24 * 5, 1, ("head.hallucination.categories=40", "head.hallucination.samples=12")),
        (96, 24 * 5, 4, ()),
        (960, 24, 1, ("head.hallucination.categories=8", "head.hallucination.samples=12")),
        (96, 1, 1, ("head.hallucination.categories=1", "head.hallucination.samples=12")),
    ],
)
def test_hallucinated_rows_go_by_the_objects_of_a_step(files, rows, batch, processes, expected):
    data = files.inspected()
    vars(data.train)["objects"] = np.arange(int(data.train.used.sum()))  # one in each image
    setting = replace(SETTING, hallucinated_rows=rows, processes=processes)
    assert hallucination_advice(data, setting, batch).overrides == expected
