"""Configurations in checkpoints that ask for more than a model: refused in one line, not built."""

import copy
import re
import sys

import pytest
import torch
from omegaconf import OmegaConf

from bacl.assembly import restored
from bacl.checkpoints import handover
from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.messages.errors import UserError

HEAD = "stages.classifier.heads.bacl"
RESNET = {"depth": 10, "frozen_stages": 0, "norm_eval": True}
BACKBONE = {"frozen_stages": 0, "norm_eval": True, "weights": None}
TIMM = {"_target_": "bacl.detectors.timm_backbone.TimmBackbone", **BACKBONE}


def named(target: str, **options) -> dict:
    return {"_target_": target, **options}


CODE = named("torch.utils.collect_env.run", command="touch executed")
CASES = {
    # code of other packages, of the project, and through the names of either
    "shell": ("metric", CODE),
    "os.system": ("metric", named("os.system", command="touch executed")),
    "exec": ("metric", named("numpy.testing.runstring", astr="open('executed', 'w')", dict={})),
    "eval": ("metric", named("sympy.sympify", a="open('executed', 'w')")),
    "pickle": (f"{HEAD}.predictor", named("torch.load", f="bomb", weights_only=False)),
    "builtin": ("metric", named("builtins.getattr")),
    "a module beside the data": ("metric", named("beside_the_data.run")),
    "through a module": (f"{HEAD}.loss._target_", "bacl.losses.base.torch.load"),
    "far through a module": ("detector.backbone._target_", "bacl.detectors.weights.re.sys.exit"),
    "a class of another": (f"{HEAD}.loss._target_", "bacl.losses.base.Tensor"),
    "a method": (f"{HEAD}.loss._target_", "bacl.losses.fcbl.FCBL.forward"),
    "a private name": ("metric", named("bacl.losses.fcbl.FCBL.__init__.__globals__")),
    "hydra itself": ("metric", named("hydra.utils.call", config=CODE)),
    "partial": ("metric", named("functools.partial", _args_=["os.system"])),
    "a function": ("metric", named("bacl.detectors.weights.read_weights", path="x")),
    "a table": ("metric", named("bacl.data.annotations.table.AnnotationTable.open", path="x")),
    "a data set": ("metric", named("bacl.data.builtin.data_set.build", root="x")),
    "a writer": ("metric", named("bacl.evaluation.results_json.ResultsWriter", path="x")),
    "a logger": ("metric", named("bacl.loggers.csv_logger.CSVLogger", save_dir="x")),
    "a trainer": ("metric", named("lightning.pytorch.Trainer")),
    "a download": ("metric", named("bacl.data.download.fetch", url="x", path="x")),
    "in a list": ("stages.classifier.module.trainable", [CODE]),
    "of another stage": ("stages.representation.module", CODE),
    "deep inside": ("stages.classifier.augment.train.transforms", [{"x": [{"y": CODE}]}]),
    # what is no name
    "a list": ("metric._target_", ["os.system"]),
    "a number": ("metric._target_", 5),
    "null": ("metric._target_", None),
    "a tensor": ("metric._target_", torch.ones(2)),
    "empty": ("metric._target_", ""),
    "a blank": (f"{HEAD}.loss._target_", " bacl.losses.fcbl.FCBL"),
    "a line": (f"{HEAD}.loss._target_", "bacl.losses.fcbl.FCBL\n"),
    # Hydra's own options
    "_args_": ("metric._args_", ["x"]),
    "_recursive_": ("metric._recursive_", False),
    "_convert_": ("metric._convert_", "object"),
    "_partial_": ("metric._partial_", "yes"),
    # files and addresses
    "weights": ("detector.fpn", named("bacl.detectors.resnet.ResNet", **RESNET, weights="a/b.pth")),
    "hub": ("detector.backbone", TIMM | {"name": "hf-hub:someone/model"}),
    "pretrained": ("detector.backbone", TIMM | {"name": "resnet18", "options": {"pretrained": 1}}),
    "file": ("detector.backbone", TIMM | {"name": "resnet18", "options": {"checkpoint_path": "x"}}),
    # interpolations
    "environment": ("metric.masks", "${oc.env:SECRET}"),
    "decoded": ("stages.classifier.augment.test.max_size", "${oc.decode:${oc.env:SECRET}}"),
    "half": ("report.reference", "${"),
    "in a key": ("stages.classifier.heads", {"${oc.env:SECRET}": {}}),
    # sizes
    "categories": ("detector.num_classes", 10**12),
    "negative": ("detector.fpn.channels", -1),
    "wide": ("detector.fpn.channels", 9_000_000),
    "wider": ("detector.feature_dim", 10**6000),
    "features": ("detector.feature_dim", 5_000_000),
    "layers": ("detector.box_head.layers", 5_000_000),
    "layers without end": ("detector.box_head.layers", 10**12),
    "depth": ("detector.backbone.depth", 10**6),
    "a side of pictures": (
        "stages.classifier.augment.test",
        named("torchvision.transforms.v2.Resize", size=[100_000, 100_000]),
    ),
    "side": ("detector.pooling.side", 10**6),
    # values of another kind
    "text": ("detector", "x"),
    "no stages": ("stages", {}),
    "stages": ("stages", 5),
    "heads": ("stages.classifier.heads", []),
    "bytes": ("metric.masks", b"x"),
    "a key": ("metric", {5: 1}),
    "another class": ("detector", named("bacl.heads.Classifier", backbone={})),
    "a class inside": ("detector.rpn", named("bacl.detectors.boxes.BoxCoder", stds=[1, 1, 1, 1])),
    "score": ("report.score_threshold", "x"),
    "batch": ("datamodule.val_batch_size", -5),
    "seed": ("seed", "x"),
}


@pytest.fixture(scope="module")
def composed(compose_config):
    return compose_config("job=predict", "checkpoint=bad.ckpt", "trainer=cpu")


@pytest.fixture(scope="module")
def stored(finished):
    """What the finished run's checkpoint holds."""
    return load_stage(finished / "classifier/final.ckpt")


@pytest.fixture
def restore(stored, composed, tmp_path, monkeypatch):
    """Restores the finished run's model after its stored content was changed."""
    content = copy.deepcopy(stored)
    (tmp_path / "beside_the_data.py").write_text("open('executed', 'w')\ndef run(**options): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SECRET", "hunter2")

    def restored_with(change, *overrides):
        change(content)
        monkeypatch.setattr(restored, "load_stage", lambda path: content)
        return restored.restore_model(composed.copy(), tmp_path, overrides)

    return restored_with


def put(path: str, value):
    def change(content):
        *parents, last = path.split(".")
        node = content["config"]
        for key in parents:
            node = node[key]
        node[last] = copy.deepcopy(value)

    return change


@pytest.mark.parametrize(("path", "value"), CASES.values(), ids=list(CASES))
def test_a_file_chooses_no_code_no_files_and_no_sizes(restore, tmp_path, path, value):
    before = {*tmp_path.iterdir()}
    with pytest.raises(UserError) as refused:
        restore(put(path, value))
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    assert "hunter2" not in text
    assert {*tmp_path.iterdir()} == before
    assert "beside_the_data" not in sys.modules


def test_the_refusal_names_file_path_and_value(restore):
    with pytest.raises(UserError, match=r"^bad\.ckpt: metric\._target_: a file may not name 'os\."):
        restore(put("metric._target_", "os.system"))


def nested(config):
    for _ in range(100_000):
        config = {"a": config}
    return config


def repeated(config):
    config = [config] * 10
    for _ in range(30):
        config = [config] * 10
    return config


def endless(config):
    config["a"] = config
    return config


@pytest.mark.parametrize("shape", [nested, repeated, endless, str, lambda config: [config]])
def test_a_configuration_without_end_or_structure_is_refused(
    finished, tmp_path, monkeypatch, shape
):
    content = load_stage(finished / "classifier/final.ckpt")
    content["config"] = shape(content["config"])
    monkeypatch.setattr(handover, "read_torch_file", lambda path: content)
    (tmp_path / "bad.ckpt").touch()
    with pytest.raises(CheckpointError, match=r"^[^\n]*bad\.ckpt: config[^\n]*$"):
        load_stage(tmp_path / "bad.ckpt")


IGNORED = {
    "data.builder": named("bacl.data.builtin.data_set.build", root="elsewhere"),
    "data.root": "${oc.env:SECRET}",
    "trainer": CODE,
    "logger": {"csv": CODE},
    "datamodule.sampler": CODE,
    "name": "${oc.env:SECRET}",
    "detector.backbone.weights": "http://127.0.0.1/weights.pth",
    "stages.representation.init.detector": "../elsewhere/final.ckpt",
    "head": CODE,
}


def test_what_is_never_taken_from_a_file_is_the_commands(restore, composed, tmp_path):
    def change(content):
        for path, value in IGNORED.items():
            put(path, value)(content)
        content["categories"]["names"][0] = "${oc.env:SECRET}"

    before = {*tmp_path.iterdir()}
    model = restore(change)
    values = OmegaConf.to_container(model.config, resolve=True)
    assert "hunter2" not in str(values)
    assert "collect_env" not in str(values)
    assert "elsewhere" not in str(values)
    assert model.config.detector.backbone.weights is None
    assert model.config.trainer == composed.trainer
    assert model.config.data.root == composed.data.root
    assert model.categories.names[0] == "${oc.env:SECRET}"
    assert {*tmp_path.iterdir()} == before


def test_what_the_command_types_stands_for_what_the_file_says(restore, composed):
    weird = put("stages.classifier.augment", CODE)
    choice = "augment@stages.classifier.augment=demo"
    model = restore(weird, choice)
    expected = composed.stages.classifier.augment
    assert model.config.stages.classifier.augment._target_ == expected._target_
    assert re.search("ResizeShortSide", str(model.config.stages.classifier.augment))
