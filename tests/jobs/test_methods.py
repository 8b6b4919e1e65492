"""Heads of many methods in one training: interrupted, stored, restored, tested and recorded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from bacl.assembly import trainer as trainer_module
from bacl.checkpoints.handover import load_stage
from bacl.command.check import CONF
from bacl.heads import Head
from bacl.jobs import fit
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError

METHODS = sorted({path.stem for path in (CONF / "head").glob("*.yaml")} - {"bacl"})
ON_FROZEN = ["disalign", "lws", "ncm", "simcal"]
STEPS = 8

pytestmark = pytest.mark.slow  # tests/heads and tests/losses have each of them by itself


@pytest.fixture(scope="module")
def config(tiny, finished):
    """Composes a classifier stage with a head of every method, on the finished run's first one."""
    start = f"stages.classifier.init.detector={finished / 'representation/final.ckpt'}"
    heads = [f"+head@stages.classifier.heads.{name}={name}" for name in METHODS]
    common = [start, "stage=classifier", *heads]
    common.append("stages.classifier.init.classifier=fresh")  # losses of any number of logits
    common.append("loss@stages.classifier.heads.simcal.loss.first=bce_objectness")
    common.append("report.errors=false")  # of some thirty heads: theirs are other tests
    return lambda *overrides: tiny(*common, *overrides)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory) -> Path:
    """The folder of the run."""
    folder = tmp_path_factory.mktemp("methods")
    fit.run(config(), folder)
    return folder


def heads_of(folder: Path) -> dict[str, dict]:
    return load_stage(folder / "classifier/final.ckpt")["heads"]


class Crash(Callback):
    """Ends the process, as far as a test can, within the second epoch."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == STEPS - 2:
            raise KeyError("the power is out")


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    config, trained, tmp_path, monkeypatch
):
    watchers = trainer_module.callbacks
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "callbacks", lambda *args: [*watchers(*args), Crash()])
        with pytest.raises(KeyError, match="the power is out"):
            fit.run(config("checkpoint_every_minutes=0.0001"), tmp_path)
    assert (tmp_path / "classifier/last.ckpt").exists()
    fit.run(config(), tmp_path)
    ours, theirs = heads_of(tmp_path), heads_of(trained)
    assert set(METHODS) < set(ours)
    for name, state in theirs.items():
        torch.testing.assert_close(ours[name], state, rtol=0, atol=0)


@pytest.mark.slow
def test_what_is_stored_comes_back_and_scores_as_before(tiny, trained, monkeypatch):
    """By the checkpoint's own configuration, which says what the heads are made of."""
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    test_job.run(tiny(f"checkpoint={trained / 'classifier/final.ckpt'}"), trained)
    (again,) = (trained / "classifier").glob("test_val_*/results.json")
    assert again.read_text() == (trained / "classifier/results.json").read_text()


def test_logits_that_are_not_a_classs_only_one_are_not_gathered(
    tiny, trained, tmp_path, monkeypatch
):
    """Refused before the pass over training images: the checkpoint has SimCal's head, too."""
    monkeypatch.setattr(Head, "gather", lambda *_: pytest.fail("something was gathered"))
    options = [f"checkpoint={trained / 'classifier/final.ckpt'}", "calibration=logn"]
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin", options[1]])
    with pytest.raises(OptionError, match="LogN changes one logit of each class, but SimCal"):
        test_job.run(tiny(*options), tmp_path)


@pytest.mark.parametrize("name", ON_FROZEN)
def test_what_builds_on_an_earlier_classifier_has_it_unchanged(finished, trained, name):
    (earlier,) = load_stage(finished / "representation/final.ckpt")["heads"].values()
    ours = heads_of(trained)[name]
    for part in ("weight", "bias"):
        assert torch.equal(ours[f"first.predictor.base.{part}"], earlier[f"first.predictor.{part}"])


@pytest.mark.parametrize("name", ON_FROZEN)
def test_a_base_that_nothing_was_learned_by_is_refused(compose_config, tmp_path, name):
    options = [f"head={name}", f"data.root={tmp_path / 'data'}"]
    with pytest.raises(OptionError, match=r"would inherit a classifier, but init\.detector=null"):
        fit.run(compose_config("+experiment=bacl_demo_end_to_end", *options), tmp_path / "run")


@pytest.mark.parametrize("name", METHODS)
def test_it_is_recorded_and_has_learned(trained, name):
    with np.load(trained / f"classifier/heads/{name}.npz") as record:
        assert record["epochs"].tolist() == [0, 1, 2]
        norms = record["weight_norm"]
    assert np.isfinite(norms).all()
    assert norms.shape[1] >= 12
    rows = (value for value in heads_of(trained)[name].values() if getattr(value, "ndim", 0) == 2)
    lengths = [row.float().norm(dim=1).numpy() for row in rows if row.shape[0] == norms.shape[1]]
    assert any(np.allclose(norms[-1], each) for each in lengths)
    assert name in (trained / "classifier/results.json").read_text()
