"""A value that cannot be meant, or an option that there is none, is refused in one line."""

import math

import pytest
from omegaconf import OmegaConf
from torch import nn

from bacl.command.check import wrong_command
from bacl.options.comparison import wrong_options
from bacl.options.ranges import no_attribute_of_a_module

ABOVE = "expected a whole number of at least 1 and at most 1,000,000"
FROM_ZERO = "expected a number of at least 0 and at most 1,000,000"


@pytest.fixture(scope="module")
def demo(compose_config):
    config = compose_config("+experiment=bacl_demo")
    OmegaConf.set_struct(config, False)
    return config


def told(config, option, value):
    """The lines about one option with this value."""
    changed = config.copy()
    OmegaConf.update(changed, option, value, merge=False)
    return wrong_command(changed)


@pytest.mark.parametrize(("option", "value"), [("iou", 1.5), ("iou", 0), ("loss_weight", -1)])
def test_levels_of_a_cascade_have_ranges(compose_config, option, value):
    cascade = compose_config("+experiment=bacl_demo", "detector=cascade_small")
    (line,) = told(cascade, f"detector.later_levels.third.{option}", value)
    assert line.startswith(f"detector.later_levels.third.{option}={value}: expected a number")


@pytest.mark.parametrize("parents", [[1001], [0], [], [1] * 11])
def test_trees_have_few_parents(compose_config, parents):
    forest = compose_config("+experiment=bacl_demo", "head=forest")
    OmegaConf.set_struct(forest, False)
    (line,) = told(forest, "head.loss.parents", parents)
    assert line.startswith("head.loss.parents=[") or line.startswith("head.loss.parents[0]=")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("datamodule.batch_size", 0, f"datamodule.batch_size=0: {ABOVE}"),
        ("datamodule.batch_size", 2.5, f"datamodule.batch_size=2.5: {ABOVE}"),
        ("datamodule.batch_size", None, f"datamodule.batch_size=null: {ABOVE}"),
        ("datamodule.batch_size", True, f"datamodule.batch_size=true: {ABOVE}"),
        ("datamodule.batch_size", "8", f"datamodule.batch_size=8: {ABOVE}"),
        ("datamodule.batch_size", [8], f"datamodule.batch_size=[8]: {ABOVE}"),
        ("head.loss.alpha", -1, f"head.loss.alpha=-1: {FROM_ZERO}"),
        ("head.loss.alpha", math.nan, f"head.loss.alpha=NaN: {FROM_ZERO}"),
        ("head.loss.alpha", math.inf, f"head.loss.alpha=Infinity: {FROM_ZERO}"),
        ("head.loss.margin", 1, "head.loss.margin=1: expected true or false"),
        (
            "head.learning_rate",
            9e18,
            "head.learning_rate=9e+18: expected a number of at least 0 and at most 1,000 or null",
        ),
        (
            "seed",
            2**32,
            "seed=4294967296: expected a whole number of at least 0 and at most 4,294,967,295",
        ),
        (
            "trainer.precision",
            "bf16-true",
            "trainer.precision=bf16-true: expected 32-true or bf16-mixed or 32 or bf16 or 16-mixed "
            "or 16",
        ),
        (
            "trainer.limit_val_batches",
            0,
            "trainer.limit_val_batches=0: expected a whole number of at least 1 or a number above "
            "0 and at most 1 or null",
        ),
        (
            "stages.classifier.schedule.milestones",
            [3, 2],
            "stages.classifier.schedule.milestones=[3, 2]: expected a list of values, each a whole "
            "number of at least 1 and at most 1,000,000, ascending",
        ),
        (
            "detector.rpn.coder.stds",
            [1.0],
            "detector.rpn.coder.stds=[1.0]: expected a list of 4 values, each a number above 0 and "
            "at most 1,000,000",
        ),
        (
            "stages.representation.module.trainable",
            [],
            "stages.representation.module.trainable=[]: expected a list of at least 1 values, each "
            "text",
        ),
        ("name", "../x", "name=../x: expected text or a whole number, inside runs"),
        ("name", 2**63, "name=9223372036854775808: expected text or a whole number, inside runs"),
        (
            "metric._target_",
            "torchmetrics.MeanMetric",
            "metric._target_=torchmetrics.MeanMetric: expected options with _partial_: true and a "
            "_target_ that makes an AveragePrecision",
        ),
        (
            "checkpoint",
            2024,
            "checkpoint=2024: expected text or null; as text: '\"2024\"'",
        ),
        ("detector.fpn", None, "detector.fpn=null: expected options with _partial_: true and a"),
        ("detector.fpn._partial_", False, "detector.fpn._partial_=false: expected true"),
        ("detector.fpn._target_", 3, "detector.fpn._target_=3: expected the name of a class"),
        ("detector.fpn._target_", "no.such", "detector.fpn._target_=no.such: "),
        (
            "detector.rpn.coder._target_",
            "bacl.detectors.matching.IoUMatcher",
            "detector.rpn.coder._target_=bacl.detectors.matching.IoUMatcher: expected options with "
            "a _target_ that makes a BoxCoder",
        ),
        (
            "detector.rpn.coder",
            {"_target_": "bacl.heads.hallucination.no_hallucination"},
            "detector.rpn.coder._target_=bacl.heads.hallucination.no_hallucination: expected",
        ),
        (
            "detector.num_classes",
            5,
            "detector.num_classes=5: is what data.num_classes says; set that alone",
        ),
        ("head.loss.alfa", 1, "head.loss.alfa: no such option; did you mean alpha?"),
        ("detector.fpn.in_channels", 1, "detector.fpn.in_channels: set by other code; "),
        ("trainer.max_epochs", 1, "trainer.max_epochs: set by other code; "),
        ("data.root", "/data/${x}", "data.root=/data/${x}: Interpolation key 'x' not found; a dol"),
        ("head", "${nope}", "head=${nope}: Interpolation key 'nope' not found; a dollar sign"),
        ("report.imgs", 2, "report.imgs: no such option; did you mean images?"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(demo, option, value, message):
    (line,) = told(demo, option, value)
    assert line.startswith(message)
    assert "\n" not in line


@pytest.mark.parametrize("name", ["a/b", "a.b", "", "a b", "a$b", "-a", 5, "x" * 101])
@pytest.mark.parametrize("place", ["stages", "logger", "stages.classifier.heads"])
def test_a_name_of_which_files_and_columns_are_made_is_one(demo, place, name):
    changed = demo.copy()
    node = OmegaConf.select(changed, place)
    node[name] = next(iter(node.values()))
    (line,) = wrong_options(changed)
    assert line.startswith(place)
    assert "expected text, of letters digits and dashes" in line
    assert line.endswith("as its name")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trainer.limit_val_batches", 0.5),
        ("trainer.limit_val_batches", 40),
        ("trainer.devices", "auto"),
        ("trainer.deterministic", "warn"),
        ("head.loss.threshold", 1),
        ("report.reference", None),
        ("report.score_threshold", 1),
        ("checkpoint_every_minutes", 1e-4),
        ("datamodule.num_workers", "${datamodule.batch_size}"),
        ("datamodule.seed", 7),
        ("name", 2024),
        ("stages.classifier.schedule.milestones", []),
        ("stages.classifier.init.detector", None),
        ("head.hallucination.box_generator.shared", True),
        ("data.train.images", ["one", "two"]),
    ],
)
def test_what_can_be_meant_passes(demo, option, value):
    assert not told(demo, option, value)


def test_what_other_options_stand_for_is_told_once(demo):
    assert [line.partition("=")[0] for line in told(demo, "seed", -1)] == ["seed"]
    (line,) = told(demo, "head.loss.alpha", "${datamodule._target_}")
    assert line.startswith("head.loss.alpha=bacl.data.datamodule.DetectionDataModule: expected a")


@pytest.mark.parametrize("option", ["report.images", "head.loss.alpha", "detector.fpn", "head"])
def test_what_is_missing_is_told(demo, option):
    config = demo.copy()
    parent, _, key = option.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    del node[key]
    lines = wrong_command(config)
    assert f"{option}: is missing, and cannot be left out" in lines or option == "head"
    assert lines


def test_leaves_of_all_nodes_refuse_what_nothing_can_be(demo):
    """A list of lists fits no option."""
    for option in list(_leaves(OmegaConf.to_container(demo)))[::20]:
        changed = demo.copy()
        OmegaConf.update(changed, option, [[None]], merge=False)
        assert wrong_options(changed), option


def _leaves(node, path=""):
    if not isinstance(node, dict):
        yield path
        return
    for key, value in node.items():
        yield from _leaves(value, f"{path}.{key}".lstrip("."))


@pytest.mark.parametrize("name", ["detector", "weights"])
def test_a_head_takes_no_other_parts_place(demo, name):
    (line,) = told(demo, "stages.classifier.heads", {name: "${head}"})
    assert line.startswith(f"stages.classifier.heads.{name}: expected")
    assert "neither detector nor weights" in line


@pytest.mark.parametrize("name", ["half", "items", "type", "_modules", "__init__"])
def test_a_head_is_not_called_like_an_attribute_of_what_holds_it(demo, name):
    (line,) = told(demo, "stages.classifier.heads", {name: "${head}"})
    assert line.startswith(f"stages.classifier.heads.{name}: expected")
    assert "no attribute of a module" in line


def test_all_attributes_that_torch_has_are_known():
    has = set(dir(nn.ModuleDict()))
    assert not {name for name in has if no_attribute_of_a_module(name)}


@pytest.mark.parametrize("fhm", ["bacl", "mfs"])
def test_added_features_are_as_wide_as_the_detectors(compose_config, fhm):
    demo = compose_config("+experiment=bacl_demo", "head=eql", f"fhm@head.hallucination={fhm}")
    (line,) = told(demo, "head.hallucination.feature_dim", 7)
    assert "hallucination.feature_dim=7: is what detector.feature_dim says" in line


def test_pictures_and_the_built_in_data_set_have_ranges(compose_config):
    config = compose_config("+experiment=bacl_demo")
    wrong = {
        "datamodule.orientation": "left", "datamodule.max_pixels": 0,
        "data.builder.num_categories": 2, "data.builder.num_val": 0, "data.builder.image_size": 8,
        "data.builder.objects_per_image": [5, 4], "data.builder.object_size": [3, 44],
        "data.builder.max_overlap": 2, "data.builder.negatives_per_image": -1,
        "data.builder.not_exhaustive_rate": 1.5,
    }  # fmt: skip
    for option, value in wrong.items():
        OmegaConf.update(config, option, value, merge=False)
    lines = wrong_command(config)
    assert len(lines) == len(wrong)
    for option, value in wrong.items():
        assert any(line.startswith(f"{option}={value}: expected ") for line in lines)
