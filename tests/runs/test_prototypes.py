"""Classifiers that start from class prototypes, against a plain loop over the annotation file."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from torch.nn import functional

from bacl.assembly import trainer as trainers
from bacl.assembly.build import build_stage
from bacl.assembly.data import build_data, open_data
from bacl.checkpoints.handover import load_stage
from bacl.data.batch import Batch
from bacl.heads import Classifier, Head
from bacl.jobs import fit
from bacl.losses import BinaryCrossEntropyWithObjectness
from bacl.messages.errors import OptionError
from bacl.processes.interruption import INTERRUPTION
from bacl.runs import prototypes
from bacl.runs.prototypes import feature_sums, imprint
from tests.losses.conftest import two_processes  # noqa: F401

CPU = torch.device("cpu")
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.fixture(scope="module")
def opened(tiny):
    """A classifier stage of the tiny run, with its data."""
    config = tiny("datamodule.num_workers=0")
    open_data(config)
    stage = build_stage(config, "classifier", pretrained=False)
    stage.detector.eval()
    return SimpleNamespace(
        config=config, detector=stage.detector, data=build_data(config, config.stages.classifier)
    )


@pytest.fixture(scope="module")
def batches(opened):
    return list(opened.data.object_dataloader())


def first_names(opened, count):
    return ",".join(opened.data.train_table.file_names()[:count])


@torch.no_grad()
def plain_sums(detector, split):
    """Sums of features by label, one box at a time; no picture of the tiny run is resized."""
    truth = json.loads(open(split["annotations"], encoding="utf-8").read())  # noqa: SIM115, PTH123
    labels = {x["id"]: n for n, x in enumerate(sorted(truth["categories"], key=lambda x: x["id"]))}
    sums = np.zeros((len(labels), detector.feature_dim))
    for picture in truth["images"]:
        pixels = np.asarray(Image.open(f"{split['images']}/{picture['file_name']}").convert("RGB"))
        normalised = torch.tensor(((pixels - MEAN) / STD).transpose(2, 0, 1)).float().unsqueeze(0)
        pyramid = detector.pyramid(normalised)
        for own in (x for x in truth["annotations"] if x["image_id"] == picture["id"]):
            x, y, width, height = own["bbox"]
            box = torch.tensor([[0.0, x, y, x + width, y + height]])
            feature = detector.box_head(detector.pooling(pyramid, box))
            sums[labels[own["category_id"]]] += feature[0].numpy()
    return torch.from_numpy(sums)


def test_sums_are_those_of_a_plain_loop_over_all_boxes(opened, batches):
    expected = plain_sums(opened.detector, opened.config.data.train)
    assert (expected.norm(dim=1) > 0).all()
    (found,) = feature_sums(opened.detector, batches, CPU)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def one_thread():
    """As in processes that tests start: features round by the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_share_the_images_and_have_the_same_sums(tiny, opened, two_processes):  # noqa: F811
    config = tiny("datamodule.num_workers=0", f"datamodule.leave_out=[{first_names(opened, 1)}]")
    config.data.num_classes = 12
    data = build_data(config, config.stages.classifier)

    def images_and_sums(rank):
        own = list(data.object_dataloader())
        images = [target.image_id for batch in own for target in batch.targets]
        return images, *feature_sums(opened.detector, own, CPU)

    (images, alone), (first, sums), (second, others) = (
        images_and_sums(0),
        *two_processes(images_and_sums),
    )
    assert (len(first), len(second)) == (8, 7)
    assert sorted(first + second) == sorted(images)
    assert torch.equal(sums, others)
    torch.testing.assert_close(sums, alone, rtol=1e-12, atol=1e-12)


def test_a_process_without_images_adds_nothing(opened):
    (sums,) = feature_sums(opened.detector, [], CPU)
    assert sums.shape == (12, 32)
    assert not sums.any()
    nothing = opened.data.train_set[0][1]
    nothing.boxes, nothing.labels = nothing.boxes[:0], nothing.labels[:0]
    (sums,) = feature_sums(opened.detector, [Batch(torch.zeros(1, 3, 96, 96), [nothing])], CPU)
    assert not sums.any()


def test_images_are_looked_at_once_without_draws(tiny, opened, batches):
    state = torch.get_rng_state()
    for first, again in zip(batches, opened.data.object_dataloader(), strict=True):
        assert torch.equal(first.images, again.images)
    assert torch.equal(torch.get_rng_state(), state)
    fewer = tiny("datamodule.num_workers=0", f"datamodule.leave_out=[{first_names(opened, 2)}]")
    fewer.data.num_classes = 12
    rest = list(build_data(fewer, fewer.stages.classifier).object_dataloader())
    assert [b.targets[0].image_id for b in rest] == [b.targets[0].image_id for b in batches[2:]]


def test_rows_point_to_prototypes_at_the_mean_length_and_all_else_stays():
    classifier = Classifier(4, BinaryCrossEntropyWithObjectness(3, 0.01))
    with torch.no_grad():
        classifier.predictor.weight.copy_(
            torch.tensor([[3.0, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 5], [9, 9, 9, 9]])
        )
    bias = classifier.predictor.bias.clone()
    sums = torch.tensor([[0.0, 0, 30, 40], [0, 0, 0, 0], [0.1, 0, 0, 0]], dtype=torch.float64)
    imprint(Head({"first": classifier}, {"first": 1.0}), [sums])
    expected = [[0.0, 0, 2.4, 3.2], [0, 4, 0, 0], [4, 0, 0, 0], [9, 9, 9, 9]]
    assert torch.equal(classifier.predictor.weight, torch.tensor(expected))
    assert classifier.predictor.weight.requires_grad
    assert torch.equal(classifier.predictor.bias, bias)


@pytest.fixture(scope="module")
def second_stage(tiny, finished):
    """Composes a classifier stage on the finished run's first one; its heads start differently."""
    start = finished / "representation/final.ckpt"
    heads = (
        "+head@stages.classifier.heads.other=cross_entropy",
        "stages.classifier.heads.other.init=",
    )
    return lambda init: tiny(
        *(
            f"stages.classifier.init.detector={start}",
            "stage=classifier",
            heads[0],
            heads[1] + init,
        ),
        *("stages.classifier.heads.baseline.init=inherit", "checkpoint_every_minutes=0.0001"),
        f"stages.classifier.init.classifier={init}",
    )


class Watch(Callback):
    """Notes the heads before the first step; ends the process in a later one, where told."""

    def __init__(self, crash):
        self.crash = crash
        self.start, self.modes = {}, {}

    def on_train_batch_start(self, trainer, pl_module, *_):
        if trainer.global_step == 0:
            self.modes = {name: part.training for name, part in pl_module.named_modules()}
            heads = pl_module.heads.state_dict()
            self.start = {
                name: value.clone() for name, value in heads.items() if "predictor" in name
            }
        if trainer.global_step == self.crash:
            raise KeyError("the power is out")


@pytest.fixture
def run(monkeypatch):
    """Runs a configuration; returns what its heads were before the first step."""

    def start(config, folder, crash=None):
        watch, watchers = Watch(crash), trainers.callbacks
        with monkeypatch.context() as patch:
            patch.setattr(trainers, "callbacks", lambda *args: [*watchers(*args), watch])
            fit.run(config, folder)
        return watch.start, watch.modes

    return start


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


@pytest.mark.slow
def test_a_run_starts_from_prototypes_and_resumes_as_it_would_have_ended(
    run, second_stage, finished, opened, tmp_path, monkeypatch
):
    events, counted = [], prototypes.feature_sums
    monkeypatch.setattr(
        prototypes, "feature_sums", lambda *args: events.append("pass") or counted(*args)
    )
    monkeypatch.setattr(INTERRUPTION, "postpone", lambda: events.append("steps"))
    config = second_stage("prototypes")
    began, modes = run(config, tmp_path / "whole")
    assert events == ["pass", "steps"]  # a signal during the pass ends it at once

    source = load_stage(finished / "representation/final.ckpt")
    opened.detector.load_state_dict(source["detector"])
    directions = functional.normalize(plain_sums(opened.detector, config.data.train))
    (inherited,) = source["heads"].values()
    weight, bias = (inherited[f"first.predictor.{name}"] for name in ("weight", "bias"))
    length = weight[:12].norm(dim=1).mean()
    for name in ("bacl", "other"):
        rows = began[f"{name}.first.predictor.weight"]
        torch.testing.assert_close(rows[:12].double(), directions * length, rtol=1e-4, atol=1e-4)
        assert torch.equal(rows[12:], weight[12:])
        assert torch.equal(began[f"{name}.first.predictor.bias"], bias)
    assert torch.equal(began["baseline.first.predictor.weight"], weight)

    with pytest.raises(KeyError, match="power"):
        run(second_stage("prototypes"), tmp_path / "cut", crash=6)
    assert (tmp_path / "cut/classifier/last.ckpt").exists()
    run(second_stage("prototypes"), tmp_path / "cut")
    assert events == ["pass", "steps"] * 2 + ["steps"]  # none where a training goes on
    whole, cut = (load_stage(tmp_path / x / "classifier/final.ckpt") for x in ("whole", "cut"))
    assert same(whole["heads"], cut["heads"])

    _, others = run(second_stage("fresh"), tmp_path / "fresh")
    assert events.count("pass") == 2
    assert modes == others
    fresh = load_stage(tmp_path / "fresh/classifier/final.ckpt")["heads"]
    assert same(fresh["baseline"], whole["heads"]["baseline"])
    assert not same(fresh["bacl"], whole["heads"]["bacl"])


def test_without_a_trained_detector_there_are_no_prototypes(tiny, tmp_path):
    with pytest.raises(OptionError, match=r"init\.detector=null names nothing to inherit"):
        fit.run(tiny("stages.representation.init.classifier=prototypes"), tmp_path)
