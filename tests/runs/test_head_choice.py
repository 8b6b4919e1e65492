"""A run that chooses one of its heads: what it writes, what that is worth, and what it refuses."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from bacl.assembly.rebuilt import restore_alone
from bacl.assembly.trial import try_to_build
from bacl.checkpoints.handover import load_stage
from bacl.checkpoints.score_thresholds import saved_thresholds
from bacl.evaluation.criteria import RightLabelShare
from bacl.heads.calibration import Uncalibrated
from bacl.jobs import fit
from bacl.jobs import test as test_job
from bacl.losses import BAGS, SoftmaxCrossEntropy
from bacl.messages.errors import OptionError
from bacl.messages.shown import as_markdown
from bacl.one_pass.plan import can_be_planned
from bacl.runs import head_choice
from bacl.runs.head_choice import HeadChoice, chooser

LEFT_OUT = ("bacl_few", "margin_fhm", "eqlv2", "loce", "seesaw", "balms", "balanced_softmax")
UNTRIED = ("shift_02", "shift_06", "shift_08", "logit_adjustment", "fracal", "fracal_sigmoid")
AUTO = [
    "balance=auto",
    *(f"~stages.classifier.heads.{name}" for name in LEFT_OUT),
    *(f"~choice.calibrations.{name}" for name in UNTRIED),
    "choice.calibrated=1",
]


@pytest.fixture(scope="module")
def auto(tiny, finished):
    """Composes the classifier stage, on the finished run's first one."""
    start = f"stages.classifier.init.detector={finished / 'representation/final.ckpt'}"
    return lambda *overrides: tiny(start, "stage=classifier", *AUTO, *overrides)


@pytest.fixture(scope="module")
def chosen(auto, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chosen")
    fit.run(auto(), folder)
    return folder


def told(folder: Path) -> dict:
    return json.loads((folder / "choice.json").read_text())


def test_heads_are_judged_as_they_are_and_the_best_with_calibrations(chosen):
    heads = {"baseline", "bacl", "fcbl", "fhm", "softmax", "bags"}
    variants = told(chosen)["variants"]
    assert heads < set(variants)
    calibrated = {name.partition(" + ")[0] for name in set(variants) - heads}
    assert "baseline" in calibrated
    assert len(calibrated) <= 4  # the best by all images and by each half, and the reference
    assert {name.partition(" + ")[2] for name in set(variants) - heads} >= {"shift_04", "norcal"}
    results = json.loads((chosen / "classifier/results.json").read_text())
    for name in heads:
        assert variants[name]["measures"]["AP"] == pytest.approx(results[name]["AP"], abs=1e-6)


def test_the_winner_alone_is_the_runs_checkpoint_and_scores_as_told(
    chosen, tiny, tmp_path, monkeypatch
):
    choice, path = told(chosen), chosen / "final.ckpt"
    head, _, calibration = choice["chosen"].partition(" + ")
    restored = restore_alone(path)
    assert list(restored.stage.heads) == [head]
    own = restored.stage.live_heads[head].calibration
    assert isinstance(own, Uncalibrated) != bool(calibration)
    (thresholds,) = saved_thresholds(load_stage(path)).items()
    assert thresholds[0] == head
    assert thresholds[1].objective == "best F1"
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    test_job.run(tiny(f"checkpoint={path}"), tmp_path)
    (results,) = chosen.glob("test_val_*/results.json")
    (found,) = (each for each in json.loads(results.read_text()).values() if isinstance(each, dict))
    expected = choice["variants"][choice["chosen"]]["measures"]
    shown = {name: value for name, value in found.items() if name in expected}
    assert len(shown) > 10
    for name, value in shown.items():
        assert (-1 if value is None else value) == pytest.approx(expected[name], abs=1e-6), name


def test_why_is_told(chosen):
    text, choice = (chosen / "choice.md").read_text(), told(chosen)
    assert f"| **{as_markdown(choice['chosen'])}** |" in text
    assert "Expected of it, each half judged by what the other half chose" in text
    assert "the reference's best calibration" in text
    assert f"{choice['verdict']}. Chosen: {choice['chosen']}." in text
    untried = [line.split(": ")[1] for line in text.splitlines() if line.startswith("- Not tried")]
    assert not set(untried) & set(choice["variants"])


def test_a_new_checkpoint_is_never_beside_what_was_told_of_another(tmp_path, monkeypatch):
    for name in ("choice.md", "choice.json"):
        (tmp_path / name).write_text("of an earlier criterion")
    left = []
    monkeypatch.setattr(head_choice, "save_alone", lambda *_: left.extend(tmp_path.iterdir()))
    results = Mock(**{"markdown.return_value": "why", "console_table.return_value": ""})
    choice = HeadChoice(RightLabelShare(), {})
    choice._conclude(Mock(folder=tmp_path / "classifier"), Mock(), results, Mock())
    assert left == []
    assert (tmp_path / "choice.md").read_text() == "why"


@pytest.mark.slow
def test_the_same_command_again_tells_the_same(chosen, auto):
    before = {name: (chosen / name).read_bytes() for name in ("choice.md", "choice.json")}
    fit.run(auto(), chosen)
    assert before == {name: (chosen / name).read_bytes() for name in before}


def test_what_cannot_be_chosen_from_is_refused_before_anything_is_trained(auto, finished):
    gathers = ["calibration@choice.calibrations.norcal=logn"]
    with pytest.raises(OptionError, match=r"choice\.calibrations\.norcal: gathers on training"):
        try_to_build(auto(*gathers))


def test_only_the_stage_of_the_heads_is_chosen_from(tiny, auto):
    assert chooser(tiny("balance=auto", "stage=representation")) is None
    assert chooser(tiny()) is None


def test_a_job_that_chooses_trains_for_itself(tiny, auto):
    assert can_be_planned(tiny())
    assert not can_be_planned(auto())


@pytest.mark.slow
def test_contenders_that_fail_are_left_out_with_a_line(auto, tmp_path, monkeypatch):
    def broken(self, *arguments, **options):
        raise ValueError("not with these data")

    made = BAGS.__init__

    def refused(self, *arguments, **options):
        made(self, *arguments, **options)
        if (
            torch.get_default_device().type != "meta"
        ):  # options alone are tried before data are read
            raise ValueError("not with these data")

    monkeypatch.setattr(SoftmaxCrossEntropy, "forward", broken)
    monkeypatch.setattr(BAGS, "__init__", refused)
    fit.run(auto(), tmp_path)
    lost = told(tmp_path)["left_out"]
    assert set(lost) == {"softmax", "bags"}
    assert lost["softmax"] == "ValueError: not with these data at step 0"
    assert "not with these data" in lost["bags"]
    text = (tmp_path / "choice.md").read_text()
    assert "- Left out: softmax: ValueError: not with these data at step 0" in text
    assert not {"softmax", "bags"} & set(told(tmp_path)["variants"])
    assert (tmp_path / "DONE").exists()
