"""Heads of many methods in one training: interrupted, stored, restored, tested and recorded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from bacl.assembly import build
from bacl.checkpoints.handover import load_stage
from bacl.jobs import fit
from bacl.jobs import test as test_job
from bacl.runs import conclusion

METHODS = ("c2am", "tde", "loce", "droploss", "acsl", "federated", "bags", "efl", "ldam", "rog")
LOGITS = {"droploss": 12, "federated": 12, "efl": 12, "bags": 12 + 6}
"""Of those that have not one for each of 12 classes and one for background."""
STEPS = 8


@pytest.fixture(scope="module")
def config(tiny, finished):
    """Composes a classifier stage with a head of every method, on the finished run's first one."""
    start = f"stages.classifier.init.detector={finished / 'representation/final.ckpt'}"
    heads = [f"+head@stages.classifier.heads.{name}={name}" for name in METHODS]
    common = [start, "stage=classifier", "checkpoint_every_minutes=0.0001", *heads]
    return lambda *overrides: tiny(*common, *overrides)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory) -> Path:
    """The folder of the run, without pictures, which are tested elsewhere."""
    folder = tmp_path_factory.mktemp("methods")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conclusion, "draw", lambda *args: iter(()))
        fit.run(config(), folder)
    return folder


def heads_of(folder: Path) -> dict[str, dict]:
    return load_stage(folder / "classifier/final.ckpt")["heads"]


class Crash(Callback):
    """Ends the process, as far as a test can, within the second epoch."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == STEPS - 2:
            raise KeyError("the power is out")


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    config, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(conclusion, "draw", lambda *args: iter(()))
    watchers = build.callbacks
    with monkeypatch.context() as patch:
        patch.setattr(build, "callbacks", lambda *args: [*watchers(*args), Crash()])
        with pytest.raises(KeyError, match="the power is out"):
            fit.run(config(), tmp_path)
    assert (tmp_path / "classifier/last.ckpt").exists()
    fit.run(config(), tmp_path)
    ours, theirs = heads_of(tmp_path), heads_of(trained)
    assert set(METHODS) < set(ours)
    for name, state in theirs.items():
        torch.testing.assert_close(ours[name], state, rtol=0, atol=0)


def test_what_is_stored_comes_back_and_scores_as_before(tiny, trained, monkeypatch):
    """By the checkpoint's own configuration, which says what the heads are made of."""
    monkeypatch.setattr(conclusion, "draw", lambda *args: iter(()))
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    test_job.run(tiny(f"checkpoint={trained / 'classifier/final.ckpt'}"), trained)
    (again,) = (trained / "classifier").glob("test_val_*/results.json")
    assert again.read_text() == (trained / "classifier/results.json").read_text()


@pytest.mark.parametrize("name", METHODS)
def test_it_is_recorded_and_has_learned(trained, name):
    with np.load(trained / f"classifier/heads/{name}.npz") as record:
        assert record["epochs"].tolist() == [0, 1, 2]
        norms = record["weight_norm"]
    assert norms.shape == (3, LOGITS.get(name, 13))
    assert np.isfinite(norms).all()
    assert name in (trained / "classifier/results.json").read_text()
