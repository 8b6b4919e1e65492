"""The strong recipes: their published numbers, and a small one from end to end."""

import json

import pytest
from omegaconf import OmegaConf

from bacl.assembly.build import build_stage
from bacl.command.check import wrong_command
from bacl.jobs import fit


def test_the_published_numbers(compose_config):
    config = compose_config("+experiment=recipe_lvis1", "data.num_classes=1203")
    assert wrong_command(config) == []
    (stage,) = config.stages.values()
    schedule, jitter = stage.schedule, stage.augment.train
    # 90,000 steps of 64 images
    assert schedule.epochs * 100_170 / 64 == pytest.approx(90_000, rel=0.01)
    assert schedule._target_ == "bacl.stages.CosineSchedule"
    assert schedule.optimizer._target_ == "torch.optim.AdamW"
    assert (schedule.learning_rate, schedule.reference_batch) == (2e-4, 64)
    assert (schedule.warmup_steps, schedule.warmup_factor) == (10_000, 1e-4)
    assert (jitter.canvas, list(jitter.scale)) == (640, [0.1, 2.0])
    assert config.datamodule.batch_size == 64
    assert config.detector.box_regression.class_agnostic is True
    assert stage.sampler._target_.endswith("RepeatFactorBatches")
    assert stage.sampler.threshold == 0.001
    (head,) = stage.heads.values()
    assert head.loss._target_.endswith("FederatedLoss")
    assert (head.loss.classes, head.loss.power) == (50, 0.5)
    assert (config.trainer.gradient_clip_val, config.trainer.gradient_clip_algorithm) == (
        1.0,
        "value",
    )


def test_the_second_stage_on_top_of_it(compose_config):
    first = compose_config("+experiment=recipe_lvis1", "data.num_classes=1203")
    config = compose_config("+experiment=recipe_bacl_lvis1", "data.num_classes=1203")
    assert wrong_command(config) == []
    assert config.detector == first.detector
    stage = config.stages.representation
    for part in ("schedule", "augment"):
        assert stage[part] == first.stages.end_to_end[part]
    assert stage.sampler == first.stages.end_to_end.sampler
    second = config.stages.classifier
    assert set(second.heads) == {"bacl", "baseline"}
    assert second.heads.baseline.init == "inherit"
    assert second.heads.bacl.init == "fresh"
    assert second.sampler._target_.endswith("RandomBatches")


def test_a_small_one_from_end_to_end(compose_config, tmp_path):
    config = compose_config(
        "+experiment=recipe_demo", f"data.root={tmp_path / 'data'}", "data.builder.num_train=16",
        "data.builder.num_val=6", "data.builder.num_categories=12", "data.builder.image_size=96",
        "data.builder.objects_per_image=[4,6]", "stages.representation.schedule.epochs=1",
        "stages.classifier.schedule.epochs=1", "stages.classifier.schedule.milestones=[]",
        "report.images=1", "report.html=false", "report.errors=false",
    )  # fmt: skip
    fit.run(config, tmp_path / "run")
    results = json.loads((tmp_path / "run/classifier/results.json").read_text())
    assert set(results) >= {"baseline", "bacl"}
    stage = build_stage(config, "classifier", pretrained=False)
    assert stage.detector.box_regression.fc.out_features == 4
    assert OmegaConf.load(tmp_path / "run/config.yaml").detector.box_regression.class_agnostic
