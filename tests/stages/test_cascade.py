"""Heads on a cascade: one pass trains each exactly as alone; stages hand on three classifiers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from bacl.assembly import trainer as trainer_module
from bacl.checkpoints.handover import load_stage
from bacl.jobs import fit
from bacl.jobs import test as test_job

CASCADE = "detector=cascade_small"
STAGES = ("first", "second", "third")
FROZEN = ("detector.backbone.", "detector.fpn.", "detector.box_head.")
ALONE = "~stages.classifier.heads.baseline"
WITHOUT_BACL = "~stages.classifier.heads.bacl"
OTHERS = (
    "+head@stages.classifier.heads.mild=bacl",
    "stages.classifier.heads.mild.loss.alpha=0.3",
    "+head@stages.classifier.heads.softmax=cross_entropy",
)


def same(first, second) -> bool:
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def changed(before: dict, after: dict) -> set[str]:
    """Names of the state's entries that are not bit for bit as before."""
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not same(value, after[name])}


@pytest.mark.parametrize("head", ["bacl", "baseline"])
def test_a_head_ends_bit_for_bit_the_same_alone_and_beside_others(bench, head):
    others = [ALONE] if head == "bacl" else [WITHOUT_BACL]
    alone = bench("classifier", CASCADE, *others).fit()
    together = bench("classifier", CASCADE, *OTHERS).fit()
    assert (len(alone.heads), len(together.heads)) == (1, 4)
    assert not changed(alone.heads[head].state_dict(), together.heads[head].state_dict())
    assert not changed(alone.detector.state_dict(), together.detector.state_dict())
    assert changed(together.heads["mild"].state_dict(), together.heads["bacl"].state_dict())


def test_the_classifier_stage_changes_the_heads_rpn_and_every_box_regression(bench, snapshot):
    table = bench("classifier", CASCADE)
    before = snapshot(table.stage)
    stage = table.fit()
    moved = changed(before, stage.state_dict())
    assert not [name for name in moved if name.startswith(FROZEN)]
    learned = {name for name, parameter in stage.named_parameters() if parameter.requires_grad}
    assert learned == {n for n, _ in stage.named_parameters() if not n.startswith(FROZEN)}
    assert learned <= moved
    for name in STAGES:
        assert f"detector.box_regression.{name}.fc.weight" in learned
        assert f"heads.bacl.{name}.hallucination.prototypes" in moved
        assert f"heads.bacl.{name}.criterion.indicator.numerator" in moved
    prototypes = [stage.heads["bacl"].get_submodule(n).hallucination.prototypes for n in STAGES]
    assert not torch.equal(prototypes[0], prototypes[1])
    assert not any(module.training for module in stage.detector.box_head.values())


def test_every_parameter_learns_in_the_representation_stage(bench, snapshot):
    table = bench("representation", CASCADE)
    before = snapshot(table.stage)
    stage = table.fit()
    assert {name for name, _ in stage.named_parameters()} <= changed(before, stage.state_dict())


class Crash(Callback):
    """Ends the process, as far as a test can, in a training step of the classifier stage."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 5 and "classifier" in trainer.default_root_dir:
            raise KeyError("the power is out")


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory) -> Path:
    """The folder of a finished run; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "cascade"
    fit.run(tiny(CASCADE), folder)
    return folder


def test_a_run_trains_evaluates_and_draws_both_stages(finished):
    for name in ("results.json", "figures/weight_norms.png", "figures/detections.png"):
        assert (finished / "classifier" / name).is_file()
    losses = (finished / "classifier/metrics.csv").read_text().splitlines()[0]
    for name in ("box", "rpn_box", "bacl/classification", "baseline/classification"):
        assert f"train/{name}" in losses


def test_every_head_starts_from_the_classifiers_of_the_representation_stage(finished):
    (source,) = load_stage(finished / "representation/final.ckpt")["heads"].values()
    for name in STAGES:
        norms = source[f"{name}.predictor.weight"].norm(dim=1).numpy()
        for head in ("bacl", "baseline"):
            with np.load(finished / f"classifier/heads/{head}.{name}.npz") as record:
                assert record["epochs"].tolist() == [0, 1, 2]
                np.testing.assert_array_equal(record["weight_norm"][0], norms)
                assert (record["weight_norm"][2] != norms).all()


def test_the_classifier_stage_leaves_the_extractor_as_it_was(finished):
    first, second = (
        load_stage(finished / stage / "final.ckpt")["detector"]
        for stage in ("representation", "classifier")
    )
    assert {name.split(".")[0] for name in changed(first, second)} == {"rpn", "box_regression"}


def test_evaluation_of_the_checkpoint_gives_the_same_results(finished, tiny):
    test_job.run(tiny(CASCADE, "job=test"), finished)
    (again,) = (finished / "classifier").glob("test_val_*")
    for name in ("results.json", "per_category.csv"):
        assert (again / name).read_text() == (finished / "classifier" / name).read_text()


@pytest.mark.slow
def test_an_interrupted_run_ends_bit_for_bit_like_an_uninterrupted_one(
    finished, tiny, tmp_path, monkeypatch
):
    often, watchers = "checkpoint_every_minutes=0.0001", trainer_module.callbacks
    monkeypatch.setattr(trainer_module, "callbacks", lambda *args: [*watchers(*args), Crash()])
    with pytest.raises(KeyError, match="the power is out"):
        fit.run(tiny(CASCADE, often), tmp_path / "run")
    assert (tmp_path / "run/classifier/last.ckpt").exists()
    monkeypatch.setattr(trainer_module, "callbacks", watchers)
    fit.run(tiny(CASCADE, often), tmp_path / "run")
    for stage in ("representation", "classifier"):
        ours, theirs = (
            load_stage(folder / stage / "final.ckpt") for folder in (tmp_path / "run", finished)
        )
        assert not changed(ours["detector"], theirs["detector"])
        for head, state in ours["heads"].items():
            assert not changed(state, theirs["heads"][head])


def test_a_faster_rcnn_does_not_start_from_a_cascade(finished, tiny, tmp_path):
    path = finished / "representation/final.ckpt"
    start = ["stage=classifier", f"stages.classifier.init.detector={path}"]
    with pytest.raises(ValueError, match=r"does not fit this model.*box_head"):
        fit.run(tiny(*start), tmp_path)
