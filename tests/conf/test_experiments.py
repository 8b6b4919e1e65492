"""Every experiment composes, builds its stages and carries its command; options are the paper's."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from bacl.assembly.build import build_stage
from bacl.command.check import CONF
from bacl.command.overview import names

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def composed(*overrides: str):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.fixture(scope="module")
def without_weights():
    return ["data.num_classes=12", "detector.backbone.weights=null"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name.endswith("_r101") else name
        for name in EXPERIMENTS
    ],
)
def test_every_experiment_builds_every_stage(name, without_weights, counts_file):
    files = [f"data.train.annotations={counts_file}", f"data.val.annotations={counts_file}"]
    # What is read from a dump has no backbone.
    given = without_weights[:1] if name == "rebalance" else without_weights
    config = composed(f"+experiment={name}", *given, *files)
    for stage in config.stages:
        with torch.device("meta"):  # no numbers are drawn
            module = build_stage(config, stage, pretrained=False)
        assert any(parameter.requires_grad for parameter in module.parameters())
        assert list(module.heads)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_carries_its_command(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    assert f"python run.py +experiment={name}" in text


def test_the_papers_settings():
    config = composed("+experiment=bacl_lvis05", "data.num_classes=1230")
    loss, fhm = config.stages.classifier.heads.bacl.loss, config.head.hallucination
    assert (loss.alpha, loss.threshold) == (0.85, 0.7)
    assert (fhm.categories, fhm.samples, fhm.beta) == (8, 12, 0.9)
    assert loss.indicator._target_.endswith("ConfusionMatrix")
    for stage, weight_decay in (("representation", 5e-5), ("classifier", 1e-4)):
        schedule = config.stages[stage].schedule
        assert (schedule.epochs, list(schedule.milestones)) == (12, [8, 11])
        assert (schedule.learning_rate, schedule.reference_batch) == (0.02, 16)
        assert schedule.weight_decay == weight_decay
    assert config.detector.rpn.training.total == 2000
    assert config.detector.postprocess.score_threshold == 1e-4
    assert config.detector.postprocess.max_detections == 300
    assert config.datamodule.batch_size == 16
    assert list(config.stages.classifier.augment.train.transforms[0].short_sides) == list(
        range(640, 801, 32)
    )


def test_the_papers_baseline():
    config = composed("+experiment=baseline_lvis1", "data.num_classes=1203")
    (stage,) = config.stages.values()
    assert (stage.schedule.epochs, list(stage.schedule.milestones)) == (24, [16, 22])
    assert stage.heads.cross_entropy.loss._target_.endswith("CrossEntropy")
    assert config.detector.rpn.training.total == 1000


@pytest.mark.parametrize("name", ["bacl_mask_lvis1", "baseline_mask_lvis1"])
@pytest.mark.parametrize("depth", [50, 101])
def test_the_papers_mask_detectors(name, depth):
    name = name if depth == 50 else f"{name}_r101"
    config = composed(f"+experiment={name}", "data.num_classes=1203")
    twin = composed(f"+experiment={name.split('_')[0]}_lvis1", "data.num_classes=1203")
    predictor = config.detector.mask.head.predictor
    assert predictor._target_.endswith("NormalisedMaskPredictor")  # the baseline's too
    assert predictor.temperature == 20
    assert config.detector.backbone.depth == depth
    assert config.datamodule.load_masks is config.metric.masks is True
    assert twin.datamodule.load_masks is twin.metric.masks is False
    for stage, node in twin.stages.items():
        assert config.stages[stage].schedule == node.schedule
    assert config.detector.rpn == twin.detector.rpn


@pytest.mark.parametrize("method", ["baseline", "eqlv2", "seesaw", "bacl"])
@pytest.mark.parametrize(("suffix", "depth"), [("", 50), ("_r101", 101)])
def test_the_papers_coco_lt(method, suffix, depth):
    config = composed(f"+experiment={method}_coco_lt{suffix}", "data.num_classes=80")
    assert config.detector.backbone.depth == depth
    assert config.data.name == "coco_lt"
    assert list(config.metric.boundaries) == [20, 400, 8000]
    assert config.metric.max_detections == config.detector.postprocess.max_detections == 100
    last = list(config.stages.values())[-1]
    (head,) = last.heads.values()
    target = {"baseline": "SoftmaxCrossEntropy", "eqlv2": "EQLv2", "seesaw": "Seesaw"}
    assert head.loss._target_.endswith(target.get(method, "FCBL"))
    assert last.schedule.epochs == (12 if method == "bacl" else 24)
    assert ("predictor" in head) == (method == "seesaw")


@pytest.mark.parametrize("data", ["lvis05", "lvis1"])
def test_the_deeper_backbone_changes_nothing_else(data):
    for method in ("bacl", "baseline"):
        shallow, deep = (
            composed(f"+experiment={method}_{data}{suffix}", "data.num_classes=12")
            for suffix in ("", "_r101")
        )
        assert (shallow.detector.backbone.depth, deep.detector.backbone.depth) == (50, 101)
        assert deep.detector.backbone.weights == "ResNet101_Weights.IMAGENET1K_V1"
        for config in (shallow, deep):
            config.name = config.detector.backbone = None
        assert deep == shallow


@pytest.mark.parametrize(
    ("override", "option", "value"),
    [
        ("head.loss.alpha=0.5", "alpha", 0.5),
        ("head.loss.threshold=0.9", "threshold", 0.9),
        ("head.loss.margin=false", "margin", False),
        ("head.loss.misclassified=false", "misclassified", False),
    ],
)
def test_ablations_reach_the_classifier_head(override, option, value):
    config = composed("+experiment=bacl_demo", override)
    assert config.stages.classifier.heads.bacl.loss[option] == value


@pytest.mark.parametrize(
    ("overrides", "heads"),
    [
        (["+experiment=bacl_demo"], ["bacl", "baseline"]),
        (["+experiment=bacl_demo", "head=seesaw"], ["seesaw", "baseline"]),
        (["+experiment=bacl_demo_end_to_end", "head=gol"], ["gol"]),
        (["+experiment=seesaw_coco_lt"], ["seesaw"]),
        (["+experiment=seesaw_coco_lt", "head=bce"], ["bce"]),
        (
            ["+experiment=bacl_demo", "head@stages.classifier.heads.baseline=bce"],
            ["bacl", "baseline"],
        ),
        (["+experiment=bacl_demo", "~stages.classifier.heads.bacl"], ["baseline"]),
    ],
)
def test_the_head_that_is_chosen_bears_its_own_name(overrides, heads):
    stages = composed(*overrides).stages
    assert list(list(stages.values())[-1].heads) == heads


QUICK = ("bacl", "bce", "forest", "loce", "seesaw")
"""Of the heads, whose options are looked at in every run of the tests."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=[] if each in QUICK else [pytest.mark.slow])
        for each in names("head")
    ],
)
def test_options_of_head_drive_the_head_that_is_chosen(name):
    config = composed("+experiment=bacl_demo", f"head={name}", "head.learning_rate=0.125")
    assert config.stages.classifier.heads[name] == config.head
    assert config.stages.classifier.heads[name].learning_rate == 0.125


def test_every_file_of_the_configuration_is_used_by_a_default_or_selectable():
    groups = {path.parent.name for path in CONF.rglob("*.yaml")}
    assert {"data", "detector", "pipeline", "head", "loss", "indicator", "fhm"} <= groups
    assert Path(CONF, "config.yaml").exists()
