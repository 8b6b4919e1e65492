"""What is said of an option in one place is what checking, naming, resuming and restoring go by."""

import subprocess
import sys
from pkgutil import resolve_name

import pytest
from omegaconf import OmegaConf

from bacl.assembly.allowed import FUNCTIONS
from bacl.command.check import wrong_command
from bacl.detectors.backbone import Backbone
from bacl.detectors.region_detector import RegionDetector
from bacl.options.composed import changes, flat, plain
from bacl.options.marked import (
    is_free,
    is_shared,
    names_of_files,
    node_with,
    options_with,
    paths_of_model,
)
from bacl.options.marks import (
    AFTER_TRAINING,
    DESCRIBES_ALL,
    NAMES_NO_FOLDER,
    OF_JOB,
    Free,
    NamesFile,
    OfModel,
    bare,
    marks_of,
)
from bacl.options.model_sections import DETECTORS
from bacl.options.ranges import Count, Text
from bacl.options.signatures import options_of
from tests.assembly.test_allowed import allowed_classes, modules


def test_a_marked_type_is_the_type_in_every_other_respect():
    for marked in (Free[Count], OfModel[Free[Count]]):
        assert bare(marked) == Count
    assert bare(NamesFile[Text | None]) == Text | None
    assert bare(Free[bool]) is bool
    assert [len(marks_of(each)) for each in (Count, Free[Count], OfModel[Free[Count]])] == [0, 1, 2]


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("seed", True),
        ("predict.images", True),
        ("logger.csv.save_dir", True),
        ("data.train.images", True),
        ("data.builder.root", True),  # of one class
        ("data.builder.source", True),  # of another
        ("datamodule.num_workers", True),
        ("trainer.devices", True),
        ("trainer.strategy.static_graph", True),
        ("data", False),
        ("data.content", False),
        ("data.builder.seed", False),
        ("datamodule.seed", False),
        ("trainer.precision", False),
        ("head.loss.alpha", False),
        ("stages.classifier.init.detector", False),
        ("stages.seed.schedule.epochs", False),
        ("loss@head.loss", False),
        ("no.such.option", False),
    ],
)
def test_a_run_may_go_on_with_other_values_of_what_says_so(path, free):
    assert is_free(path) is free


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("detector.postprocess.nms_iou", "detector.postprocess"),
        ("detector.postprocess", "detector.postprocess"),
        ("calibration.statistics.annotations", "calibration"),
        ("detector", ""),
        ("detector.backbone.postprocess", ""),
        ("stages.calibration.schedule", ""),
    ],
)
def test_what_can_be_exchanged_after_the_training(path, node):
    assert node_with(AFTER_TRAINING, path) == node


def test_all_detectors_that_have_marks_are_asked_for_them():
    """And no option of another kind of detector is forgotten."""
    classes = {name for module in modules() for name in allowed_classes(module)} - FUNCTIONS
    detectors = {name for name in classes if issubclass(resolve_name(name), RegionDetector)}
    have = {name for name in detectors if any(map(marks_of, options_of(name).values()))}
    assert have == set(DETECTORS)


def test_jobs_of_one_training_share_all_but_what_is_free_or_of_each(compose_config):
    config = plain(compose_config("+experiment=bacl_demo"))
    shared = {option for option in config if is_shared(option)}
    assert {"seed", "stage", "job", "data", "detector", "stages"} <= shared
    assert not shared & {"name", "head", "report", "calibration", "logger", "checkpoint", "predict"}
    assert options_with(OF_JOB) == ("calibration", "head", "name", "report")


def test_groups_that_name_no_folder_or_describe_a_model():
    assert set(options_with(NAMES_NO_FOLDER)) == {
        *("criterion", "experiment", "sweep", "thresholds", "trainer")
    }
    assert {"experiment", "pipeline"} <= set(options_with(DESCRIBES_ALL))


def test_what_differs_between_two_runs_leaves_out_what_is_free(compose_config):
    earlier, now = (compose_config("+experiment=bacl_demo") for _ in range(2))
    for option, value in {
        "name": "other", "datamodule.num_workers": 7, "trainer.devices": 2,
        "data.builder.processes": 5,
        "datamodule.batch_size": 4, "head.loss.alpha": 0.5, "stages.classifier.heads": {},
    }.items():  # fmt: skip
        OmegaConf.update(now, option, value, merge=False)
    told = changes(plain(earlier), plain(now))
    assert told[:2] == ["datamodule.batch_size: 8 -> 4", "head.loss.alpha: 0.85 -> 0.5"]
    assert all(line.startswith("stages.classifier.heads") for line in told[2:])


def test_no_torch_is_needed_to_know_most_of_it():
    code = """
import sys
from bacl.options.marked import is_free, readers
assert is_free("trainer.devices") and not is_free("head.loss.alpha") and readers("output")
assert not {"torch", "lightning"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_checkpoint_says_its_model_and_never_where_files_lie(compose_config):
    config = plain(compose_config("+experiment=bacl_demo"))
    told = {
        option for path in paths_of_model() for option in flat(config) if
        option == path or option.startswith(f"{path}.")
    }  # fmt: skip
    rest = {option.split(".")[0] for option in set(flat(config)) - told}
    assert {"head", "data", "trainer", "logger", "checkpoint", "job", "name", "stage"} <= rest
    assert not {"detector", "stages", "metric", "masks", "seed", "report"} & rest
    assert {option for option in told if option.startswith("datamodule.")} == {
        *("datamodule.val_batch_size", "datamodule.load_masks", "datamodule.orientation")
    }


def test_files_are_known_by_the_class_that_reads_them_or_by_the_section():
    resnet = {"_target_": "bacl.detectors.resnet.ResNet", "weights": "a.pth"}
    assert names_of_files(resnet, "detector.backbone") == {"weights"}
    assert names_of_files({"weights": 1}, "stages.classifier.heads.bacl") == set()
    assert names_of_files({"detector": "a.ckpt"}, "stages.x.init") == {"detector"}
    assert names_of_files({"detector": "a.ckpt"}, "stages.x") == set()


def test_every_backbone_says_which_option_names_its_weights():
    """And any class that a file may name can be asked."""
    classes = {name for module in modules() for name in allowed_classes(module)}
    readers_of_files = {name for name in classes if names_of_files({"_target_": name}, "")}
    found = {name: resolve_name(name) for name in classes - FUNCTIONS}
    backbones = {name for name, made in found.items() if issubclass(made, Backbone)}
    with_weights = {name for name in backbones if "weights" in options_of(name)}
    assert with_weights <= readers_of_files
    assert len(with_weights) >= 3


@pytest.mark.parametrize(
    ("override", "job", "others"),
    [
        ("output=a", "import", "fit"),
        ("export.format=torch", "export", "predict"),
        ("checkpoint=a.ckpt", "test", "fit"),
    ],
)
def test_what_a_job_does_not_read_is_refused(compose_config, override, job, others):
    config = compose_config("+experiment=bacl_demo", f"job={others}")
    (line,) = wrong_command(config, [override], classes=False)
    told, _, jobs = line.partition(", only job=")
    assert told == f"{override}: job={others} does not read it"
    assert job in jobs.split("|")
    config.job = job
    assert wrong_command(config, [override, "seed=3"], classes=False) == []
