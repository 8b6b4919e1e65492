import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from bacl.callbacks import memory_watch
from bacl.callbacks.smaller_batch import TooLargeError
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.jobs import doctor
from bacl.messages.errors import UserError

CPU = "trainer=cpu"


def test_a_machine_that_is_ready(finished, tiny, tmp_path, capsys):
    doctor.run(tiny(CPU, "inspection.steps=1"), tmp_path)
    printed = capsys.readouterr().out
    assert printed.endswith("OK\n")
    assert f"torch {torch.__version__.split('+')[0]}" in printed
    assert "16 training, 6 validation images, 12 categories; in their annotations 0 err" in printed
    assert "job=data" in printed
    for stage in ("representation", "classifier"):
        step = r"\d+\.\d\d s a step of 4 images .* 4 steps × 2 epochs = .* minutes; .* MiB \(CPU, "
        assert re.search(f"{stage}: {step}", printed)
    assert "all stages: " in printed
    assert "case known by hand as expected" in printed
    assert "convolution as on the CPU" in printed
    assert not list(tmp_path.iterdir())


def test_what_heads_hold_is_told_and_where_it_is_much(tiny):
    told = doctor.memory(tiny("data.num_classes=13204"))
    assert "of 13,204 categories: representation" in told
    assert "1.4" in told.partition("classifier")[2].partition("of it statistics")[0]
    assert "(bacl: a whole confusion matrix" in told
    assert "sparse_confusion_matrix" not in doctor.memory(tiny())
    sparse = "indicator@head.loss.indicator=sparse_confusion_matrix"
    told = doctor.memory(tiny("data.num_classes=13204", sparse))
    assert "whole confusion matrix" not in told
    assert " 0.08 of it statistics" in told


def test_data_that_are_generated_need_not_be_there(tiny, tmp_path, capsys):
    doctor.run(tiny(CPU, f"data.root={tmp_path / 'none'}"), tmp_path)
    assert "generated before the first training" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_everything_that_is_wrong_is_told_at_once(compose_config, tmp_path, capsys):
    config = compose_config(
        CPU,
        "data=custom",
        f"data.root={tmp_path}",
        "masks=true",
        "trainer.accelerator=no",
    )
    with pytest.raises(doctor.NotReadyError) as caught:
        doctor.run(config, tmp_path)
    for part in (
        "masks=true: the detector has no mask branch",
        "no file",
        "train.json",
        "val.json",
        "accelerator=no: ",
        "data.root=",
        "BACL_DATA",
    ):
        assert part in str(caught.value)
    assert "\ncost: " not in str(caught.value)  # nothing is timed that cannot run
    assert "OK\n" not in capsys.readouterr().out


def test_an_evaluation_that_errs_is_told(tiny, monkeypatch):
    monkeypatch.setattr(LVISAveragePrecision, "compute", lambda self: {"AP": 0.51})
    with pytest.raises(doctor.NotReadyError, match=r"by hand is 0\.51, not 0\.5"):
        doctor.evaluation(tiny())


def test_a_device_that_computes_wrongly_is_told(tiny, monkeypatch):
    right, calls = torch.nn.functional.conv2d, []

    def first_wrong(*args):
        calls.append(args)
        return right(*args) + (len(calls) == 1)

    monkeypatch.setattr(torch.nn.functional, "conv2d", first_wrong)
    with pytest.raises(doctor.NotReadyError, match="differs from the CPU's"):
        doctor.device(tiny(CPU))


def test_what_a_fit_would_stop_at_is_told(finished, tiny, tmp_path):
    config = tiny(CPU, f"detector.backbone.weights={tmp_path / 'none.pth'}")
    other = json.loads(Path(config.data.val.annotations).read_text(encoding="utf-8"))
    other["categories"].append({"id": 999, "name": "elsewhere", "frequency": "r"})
    config.data.val.annotations = str(tmp_path / "val.json")
    (tmp_path / "val.json").write_text(json.dumps(other))
    with pytest.raises(doctor.NotReadyError) as caught:
        doctor.run(config, tmp_path)
    assert "none.pth do not exist" in str(caught.value)
    assert "category 999 ('elsewhere'): is not a category of the training" in str(caught.value)


def test_a_cost_that_is_not_asked_for_is_not_measured(finished, tiny, monkeypatch):
    monkeypatch.setattr(doctor, "time_steps", None)
    assert "inspection.steps=0" in doctor.cost(tiny(CPU, "inspection.steps=0"))


def test_a_stage_of_a_single_step_is_no_problem(finished, tiny, tmp_path, capsys):
    short = "stages.representation.schedule={epochs:1,milestones:[],warmup_steps:0}"
    config = tiny(CPU, "stage=representation", short, "datamodule.batch_size=16")
    doctor.run(config, tmp_path)
    printed = capsys.readouterr().out
    assert "cost: representation: not timed: the representation stage has a single step" in printed
    assert printed.endswith("OK\n")


def test_pictures_that_only_a_step_finds_broken_are_told(finished, tiny, tmp_path):
    config = tiny(CPU)
    pictures = shutil.copytree(config.data.train.images, tmp_path / "train")
    config.data.train.images = str(pictures)
    for picture in pictures.iterdir():  # their headers are as they were
        picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    with pytest.raises(UserError, match=r"train.*\.jpg.*truncated"):
        doctor.cost(config)


def test_what_will_not_fit_is_a_problem(finished, tiny, monkeypatch):
    class Small:
        name = "cuda:0"

        def start(self):
            return 1 << 30

        def taken(self):
            return 1 << 30

        def peak(self):
            return 9 << 30

        def limit(self):
            return 4 << 30

    monkeypatch.setattr(memory_watch, "memory_of", lambda device: Small())
    with pytest.raises(TooLargeError, match=r"will not fit.*datamodule\.batch_size=1 "):
        doctor.cost(tiny(CPU))
