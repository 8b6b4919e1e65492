"""+experiment=bacl_custom: short words, what the data choose, and longer words, which win."""

import json

import pytest
from omegaconf import OmegaConf

from bacl.command.check import wrong_command
from bacl.command.settled import chosen_by_data, settle
from bacl.data.builtin.data_set import build
from bacl.inspection.fitted import CLIP
from bacl.launchers.grouping import without_heads
from bacl.one_pass.plan import can_be_planned, planned
from bacl.options.composed import changes, plain

EXPERIMENT = "+experiment=bacl_custom"


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A folder of data as COCO lays them out, without pictures but for the first ones' names."""
    root = tmp_path_factory.mktemp("mine")
    made = build(
        root / "builtin", num_categories=12, num_train=40, num_val=8, image_size=96,
        objects_per_image=(4, 6), object_size=(16, 30), annotations_only=True, seed=0,
    )  # fmt: skip
    for split, file in (("train", made.train_annotations), ("val", made.val_annotations)):
        annotations = root / "annotations" / f"instances_{split}2017.json"
        annotations.parent.mkdir(exist_ok=True)
        annotations.write_bytes(file.read_bytes())
        (root / f"{split}2017").mkdir()
        for image in json.loads(file.read_text())["images"]:
            (root / f"{split}2017" / image["file_name"]).touch()
    return root


def composed(compose_config, mine, *words):
    return compose_config(EXPERIMENT, f"data.root={mine}", "trainer=cpu", *words)


def test_five_words_are_all_that_a_run_needs(compose_config, mine):
    words = ("epochs=20", "image_size=192", "augmentation=strong")
    config = composed(compose_config, mine, *words)
    assert wrong_command(config, words) == []
    assert config.data.train.annotations == str(mine / "annotations/instances_train2017.json")
    assert config.data.val.images == str(mine / "val2017")
    assert config.name == mine.name
    first, second = config.stages.representation, config.stages.classifier
    assert (first.schedule.epochs, list(first.schedule.milestones)) == (20, [13, 18])
    assert (second.schedule.epochs, list(second.schedule.milestones)) == (10, [7, 9])
    assert first.augment.train._target_.endswith("CopyPaste")
    assert (first.augment.train.canvas, list(first.augment.train.scale)) == (192, [0.1, 2.0])
    assert second.augment.train._target_.endswith("ScaleJitter")
    assert list(second.augment.test.short_sides) == [192]
    assert config.validation.every == 5
    assert config.trainer.gradient_clip_val == CLIP


def test_what_the_data_choose_becomes_values_with_reasons(compose_config, mine):
    config = composed(compose_config, mine)
    before = plain(config)
    lines = settle(config)
    assert chosen_by_data(config) == {}
    assert plain(config) == before
    told = {line.split("=")[0] for line in lines}
    assert {"epochs", "image_size", "datamodule.batch_size", "fitted.anchor_scale"} <= told
    for stage in ("representation", "classifier"):
        assert f"stages.{stage}.schedule.warmup_steps" in told
    assert "datamodule.batch_size=2: 40 images, 20 steps an epoch" in "\n".join(lines)
    assert settle(config) == []


def test_a_longer_word_wins_and_is_not_told(compose_config, mine):
    longer = {
        "datamodule.batch_size": 5,
        "stages.classifier.schedule.epochs": 7,
        "stages.representation.schedule.warmup_steps": 3,
        "detector.rpn.anchors.scale": 6,
        "head.hallucination.categories": 3,
        "trainer.gradient_clip_val": 1.5,
    }
    config = composed(compose_config, mine, *(f"{key}={value}" for key, value in longer.items()))
    lines = settle(config)
    for key, value in longer.items():
        assert OmegaConf.select(config, key) == value
        assert not any(line.startswith(f"{key}=") for line in lines)
    assert list(config.stages.classifier.schedule.milestones) == [5, 6]


def test_groups_win_too(compose_config, mine):
    config = composed(
        compose_config, mine,
        "schedule@stages.representation.schedule=1x", "augment@stages.classifier.augment=own_size",
    )  # fmt: skip
    settle(config)
    schedule = config.stages.representation.schedule
    assert (schedule.epochs, schedule.warmup_steps, schedule.learning_rate) == (12, 500, 0.02)
    assert list(config.stages.classifier.augment.test.short_sides) == [256]


def test_a_transformers_schedule_follows_the_words(compose_config, mine):
    words = ("epochs=20", "schedule@stages.representation.schedule=fitted_adamw")
    config = composed(compose_config, mine, "detector=faster_rcnn_vit", *words)
    assert wrong_command(config, words) == []
    settle(config)
    schedule = config.stages.representation.schedule
    assert schedule.optimizer._target_ == "torch.optim.AdamW"
    assert (schedule.epochs, list(schedule.milestones)) == (20, [13, 18])
    assert (schedule.learning_rate, schedule.reference_batch) == (1e-4, None)
    assert schedule.warmup_steps == 40  # a tenth of 20 epochs of 20 steps


@pytest.mark.parametrize("word", ["none", "own_size", "light", "strong"])
def test_every_augmentation_composes(compose_config, mine, word):
    config = composed(compose_config, mine, f"augmentation={word}", "image_size=64")
    assert wrong_command(config) == []
    for stage in config.stages.values():
        assert list(stage.augment.test.short_sides) == [64]


def test_a_run_goes_on_with_what_was_chosen_when_it_began(compose_config, mine):
    config = composed(compose_config, mine)
    settle(config)
    begun = plain(config)
    begun["datamodule"]["batch_size"] = 7  # as chosen on a machine with a GPU
    begun["stages"]["representation"]["schedule"]["optimizer"] = {"_target_": "other"}
    again = composed(compose_config, mine)
    lines = settle(again, begun)
    assert changes(begun, plain(again)) == []
    assert "datamodule.batch_size=7: as this run began" in lines


def test_detectors_and_heads_of_other_experiments_keep_the_papers_numbers(compose_config):
    config = compose_config("+experiment=bacl_lvis05")
    assert config.detector.rpn.anchors.scale == 8
    assert config.head.hallucination.categories == 8


def test_bad_annotations_are_told_in_one_line(compose_config, tmp_path):
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text("[]")
    (line, *_) = wrong_command(compose_config(EXPERIMENT, f"data.root={tmp_path}"))
    assert line.startswith(str(tmp_path / "train.json"))
    assert "\n" not in line


@pytest.mark.parametrize("word", ["datamodule.batch_size", "epochs", "image_size"])
def test_a_word_out_of_range_is_told_by_its_name(compose_config, mine, word):
    (line, *_) = wrong_command(composed(compose_config, mine, f"{word}=0"))
    assert line == f"{word}=0: expected a number of at least 1"


def test_the_best_validation_may_be_taken(compose_config, mine):
    words = "epochs=13", "validation.take=best"
    assert composed(compose_config, mine, *words).validation.every == 1
    assert composed(compose_config, mine, "epochs=13").validation.every == 3


def test_a_layout_that_leaves_it_open_is_told_in_one_line(compose_config, tmp_path):
    (tmp_path / "all.json").write_text("{}")
    (line, *_) = wrong_command(compose_config(EXPERIMENT, f"data.root={tmp_path}"))
    assert line.startswith(f"{tmp_path}: there is one annotation file")


def test_jobs_that_differ_in_their_heads_train_together(compose_config, mine):
    words = ("epochs=2", "image_size=64", f"data.root={mine}")
    jobs = [
        compose_config(EXPERIMENT, "trainer=cpu", *words, f"head.loss.alpha={alpha}")
        for alpha in (0.5, 0.9)
    ]
    assert all(can_be_planned(job) for job in jobs)
    assert without_heads(jobs[0], ["a"]) == without_heads(jobs[1], ["b"])
    assert planned(jobs[0])["head"]["hallucination"]["categories"] == jobs[0].fitted.categories
    assert can_be_planned(compose_config("+experiment=bacl_demo"))
