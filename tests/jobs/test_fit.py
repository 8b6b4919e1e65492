import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from PIL import Image

from bacl.assembly import trainer as trainer_module
from bacl.assembly.data import build_data, open_data
from bacl.assembly.instantiate import instantiate
from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.data.missing_files import MissingDataError
from bacl.data.samplers import ClassAwareBatches, RandomBatches
from bacl.jobs import fit, prepare
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError, UserError
from bacl.runs import run_through, stage_training
from bacl.runs.folder import record
from bacl.runs.naming import test_folder as folder_of_test

REPOSITORY = Path(__file__).parents[2]
STAGES = ("representation", "classifier")


def results(folder: Path) -> dict:
    return json.loads((folder / "classifier/results.json").read_text())


def times(folder: Path) -> list[int]:
    return [(folder / stage / "final.ckpt").stat().st_mtime_ns for stage in STAGES]


def test_a_run_leaves_its_results_and_what_made_them(finished):
    assert set(OmegaConf.load(finished / "config.yaml").stages) == set(STAGES)
    starts = json.loads((finished / "environment.json").read_text())
    assert "packages" in starts[0]
    measures = results(finished)
    heads = [name for name, each in measures.items() if isinstance(each, dict)]
    assert heads == ["baseline", "bacl"]  # the reference of the comparison first
    assert {"AP", "APr", "AR@300"} <= set(measures["bacl"])
    folder = finished / "classifier"
    with (folder / "per_category.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 12
    assert "bacl" in (folder / "results.md").read_text()
    for name in ("ap_by_count", "weight_norms", "detections", "losses"):
        with Image.open(folder / "figures" / f"{name}.png") as picture:
            assert len(np.unique(np.asarray(picture))) > 10
    assert not [*finished.rglob("last.ckpt"), *finished.rglob(".*")]


def test_every_head_starts_from_the_classifier_of_the_representation_stage(finished):
    (source,) = load_stage(finished / "representation/final.ckpt")["heads"].values()
    norms = source["first.predictor.weight"].norm(dim=1).numpy()
    for head in ("bacl", "baseline"):
        with np.load(finished / f"classifier/heads/{head}.npz") as record:
            assert record["epochs"].tolist() == [0, 1, 2]
            np.testing.assert_array_equal(record["weight_norm"][0], norms)
            assert (record["weight_norm"][2] != norms).all()


def test_the_classifier_stage_leaves_the_extractor_as_it_was(finished):
    first, second = (load_stage(finished / stage / "final.ckpt")["detector"] for stage in STAGES)
    changed = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"rpn", "box_regression"}


def test_the_same_command_again_does_not_train_again(finished, tiny):
    before, measures = times(finished), results(finished)
    average_precision = fit.run(tiny(), finished)
    assert times(finished) == before
    assert results(finished) == measures
    assert average_precision == measures["bacl"]["AP"]


def again_in(folder: Path) -> Path:
    """Where the latest evaluation of a run's checkpoint has left its results."""
    return max((folder / "classifier").glob("test_val_*"), key=lambda path: path.stat().st_mtime_ns)


def test_test_reproduces_the_results_in_a_folder_of_its_own(finished, tiny, tmp_path, monkeypatch):
    before = times(finished), (finished / "classifier/results.json").stat().st_mtime_ns
    test_job.run(tiny("job=test"), finished)
    assert times(finished) == before[0]
    assert (finished / "classifier/results.json").stat().st_mtime_ns == before[1]
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    test_job.run(tiny(f"checkpoint={finished / 'classifier/final.ckpt'}"), tmp_path)
    assert not list(tmp_path.rglob("results.json"))  # results go beside the checkpoint
    for name in ("results.json", "per_category.csv"):
        again = (again_in(finished) / name).read_text()
        assert again == (finished / "classifier" / name).read_text()


def test_test_refuses_data_of_other_categories(finished, tiny, tmp_path, monkeypatch):
    other = [f"data.root={tmp_path / 'other'}", "data.builder.num_categories=13"]
    checkpoint = f"checkpoint={finished / 'classifier/final.ckpt'}"
    monkeypatch.setattr(test_job, "command_overrides", lambda: other)
    with pytest.raises(ValueError, match=r"final\.ckpt: trained on 12 categories.*has 13"):
        test_job.run(tiny(*other, checkpoint), tmp_path)


def test_test_takes_model_and_transform_from_the_checkpoint(
    finished, tiny, compose_config, tmp_path, monkeypatch
):
    """Without the experiment, whose images are small: the default is a shorter side of 800."""
    checkpoint, data = finished / "classifier/final.ckpt", tiny().data
    typed = ["data=custom"] + [
        f"data.{split}.{kind}={data[split][kind]}"
        for split in ("train", "val")
        for kind in ("annotations", "images")
    ]
    monkeypatch.setattr(test_job, "command_overrides", lambda: typed)
    config = compose_config(f"checkpoint={checkpoint}", *typed)
    average_precision = test_job.run(config, tmp_path)
    place = folder_of_test(Path(data.val.annotations), typed)
    own = checkpoint.parent / place / "results.json"
    found, trained = json.loads(own.read_text()), results(finished)
    assert list(found.items()) == list(trained.items())  # the reference is the first again
    assert average_precision == trained["bacl"]["AP"]


OTHER_LOGITS = ("loss@head.loss=bce", "fhm@head.hallucination=none")


def test_heads_that_cannot_carry_on_the_classifier_are_refused_before_training(tiny, tmp_path):
    mend = r"stages\.classifier\.heads\.bacl\.init=fresh"
    with pytest.raises(OptionError, match=rf"heads\.bacl.*\[12\] logits.*\[13\].*{mend}"):
        fit.run(tiny(*OTHER_LOGITS), tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_classifier_of_other_parts_is_refused_before_training(tiny, tmp_path):
    parts = (
        r"has weight and is to continue that of stages\.representation, which has weight and bias"
    )
    with pytest.raises(OptionError, match=rf"heads\.c2am: .*{parts}.*heads\.c2am\.init=fresh"):
        fit.run(tiny("head=c2am", "head.init=inherit"), tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_fresh_head_trains_beside_one_that_inherits(finished, tiny, tmp_path):
    """On the same extractor; with other logits, and leaving the other head as it is alone."""
    start = f"stages.classifier.init.detector={finished / 'representation/final.ckpt'}"
    options = [start, "stage=classifier", *OTHER_LOGITS, "head.init=fresh"]
    fit.run(tiny(*options), tmp_path)
    ours, theirs = (load_stage(f / "classifier/final.ckpt") for f in (tmp_path, finished))
    assert ours["heads"]["bacl"]["first.predictor.weight"].shape[0] == 12
    for name, value in theirs["heads"]["baseline"].items():
        assert torch.equal(ours["heads"]["baseline"][name], value)


def test_a_frozen_extractor_without_a_start_is_refused(tiny, tmp_path):
    with pytest.raises(OptionError, match=r"init\.detector=null: the stage freezes its extractor"):
        fit.run(tiny("stages.classifier.init.detector=null"), tmp_path)
    with pytest.raises(OptionError, match=r"representation would inherit a classifier"):
        fit.run(tiny("stages.representation.init.classifier=inherit"), tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_stage_has_a_sampler_of_its_own(tiny):
    config = tiny("+sampler@stages.classifier.sampler=class_aware")
    kinds = {
        name: type(build_data(config, node)._training_batches(1, 0))
        for name, node in config.stages.items()
    }
    assert kinds == {"representation": RandomBatches, "classifier": ClassAwareBatches}


def test_an_override_that_a_checkpoint_cannot_take_is_refused(
    finished, tiny, tmp_path, monkeypatch
):
    typed = ["data=builtin", "loss@head.loss=cross_entropy"]
    monkeypatch.setattr(test_job, "command_overrides", lambda: typed)
    config = tiny(f"checkpoint={finished / 'classifier/final.ckpt'}", *typed[1:])
    with pytest.raises(OptionError, match=r"loss@head\.loss=cross_entropy: says how stages train"):
        test_job.run(config, tmp_path)


def test_test_before_training_says_what_to_do(tiny, tmp_path):
    with pytest.raises(CheckpointError, match=r"classifier/final\.ckpt: no such checkpoint"):
        test_job.run(tiny("job=test"), tmp_path)


def test_the_classifier_stage_alone_needs_the_representation_stage(tiny, tmp_path):
    with pytest.raises(CheckpointError, match=r"representation/final\.ckpt: no such checkpoint"):
        fit.run(tiny("stage=classifier"), tmp_path)


def test_another_configuration_in_the_same_folder_is_refused(finished, tiny):
    before = times(finished)
    with pytest.raises(ValueError, match=r"alpha: 0\.85 -> 0\.3"):
        fit.run(tiny("head.loss.alpha=0.3"), finished)
    assert times(finished) == before


def test_other_hardware_and_reports_are_not_another_configuration(finished, tiny):
    changed = tiny(
        "datamodule.num_workers=3", "datamodule.val_batch_size=1", "trainer=gpu",
        "logger=tensorboard", "report.images=1",
    )  # fmt: skip
    open_data(changed)
    record(changed, finished)


def test_a_wrong_number_of_categories_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"data\.num_classes=80.*has 12 categories"):
        fit.run(tiny("data.num_classes=80"), tmp_path)
    assert not (tmp_path / "config.yaml").exists()


def test_missing_data_are_listed_before_anything_starts(compose_config, tmp_path):
    config = compose_config("data=custom", f"data.root={tmp_path / 'none'}")
    with pytest.raises(MissingDataError, match=r"(?s)train\.json.*val\.json"):
        fit.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_backbone_weights_are_told_in_one_message(tiny, tmp_path):
    with pytest.raises(UserError, match=r"^backbone weights no\.pth do not exist"):
        fit.run(tiny("detector.backbone.weights=no.pth"), tmp_path)
    assert not (tmp_path / "config.yaml").exists()


def test_prepare_makes_the_data_and_their_tables(tiny, tmp_path):
    prepare.run(tiny(f"data.root={tmp_path / 'set'}"), tmp_path)
    assert (tmp_path / "set/train.json").exists()
    assert len(list((tmp_path / "set/.bacl-tables").iterdir())) >= 2


def test_what_is_evaluated_is_what_was_saved(tiny, tmp_path, monkeypatch):
    """Of several processes only the first one saves; batch norms of the others have moved on."""
    save, evaluated = stage_training.save, []

    def save_elsewhere(folder, detector, *others):
        save(folder, detector, *others)
        detector.backbone.bn1.running_mean.add_(1)

    class Seen(Exception):
        pass

    def evaluate(run, report, **options):
        evaluated.append(run.stage)
        raise Seen

    monkeypatch.setattr(stage_training, "save", save_elsewhere)
    monkeypatch.setattr(run_through, "evaluate", evaluate)
    with pytest.raises(Seen):
        fit.run(tiny("stage=representation"), tmp_path)
    saved = load_stage(tmp_path / "representation/final.ckpt")["detector"]
    name = "backbone.bn1.running_mean"
    assert torch.equal(evaluated[0].detector.get_buffer(name), saved[name])


class Crash(Callback):
    """Ends the process, as far as a test can, in a training step or at the end of an epoch."""

    def __init__(self, stage: str, step: int, at_epoch_end: bool):
        self.stage, self.step, self.at_epoch_end = stage, step, at_epoch_end

    def on_train_batch_start(self, trainer, *_):
        self._crash(trainer, not self.at_epoch_end)

    def on_train_epoch_end(self, trainer, *_):
        self._crash(trainer, self.at_epoch_end)

    def _crash(self, trainer, here):
        if here and trainer.global_step == self.step and self.stage in trainer.default_root_dir:
            raise KeyError("the power is out")


def interrupt(patch, config, folder: Path, crash: Crash) -> None:
    """Begin a run, and end it where `crash` says."""
    watchers = trainer_module.callbacks
    patch.setattr(trainer_module, "callbacks", lambda *args: [*watchers(*args), crash])
    with pytest.raises(KeyError, match="the power is out"):
        fit.run(config, folder)


@pytest.mark.parametrize(
    ("stage", "step", "at_epoch_end"),
    [
        ("classifier", 6, False),
        ("representation", 8, True),  # after the last step
        pytest.param("representation", 3, False, marks=pytest.mark.slow),
        pytest.param("classifier", 4, True, marks=pytest.mark.slow),  # between two epochs
    ],
)
def test_an_interrupted_run_ends_bit_for_bit_like_an_uninterrupted_one(
    finished, tiny, differing, tmp_path, monkeypatch, caplog, stage, step, at_epoch_end
):
    folder = tmp_path / "run"
    caplog.set_level(logging.INFO, "lightning")
    often = "checkpoint_every_minutes=0.0001"
    with monkeypatch.context() as patch:
        interrupt(patch, tiny(often), folder, Crash(stage, step, at_epoch_end))
    assert (folder / stage / "last.ckpt").exists()
    assert not (folder / stage / "final.ckpt").exists()
    steps = []
    monkeypatch.setattr(
        stage_training,
        "save",
        lambda *args, original=stage_training.save: steps.append(original(*args)),
    )
    fit.run(tiny(often), folder)
    assert not differing(folder, finished)
    assert results(folder) == results(finished)
    assert len(steps) == (2 if stage == "representation" else 1)
    assert "weights_only" not in caplog.text  # Lightning tells of it, where it is unsaid


def test_in_bf16_an_interrupted_run_ends_like_an_uninterrupted_one_too(
    tiny, differing, tmp_path, monkeypatch
):
    stage, quick = "representation", ["report.errors=false", "checkpoint_every_minutes=0.0001"]
    config = tiny(f"stage={stage}", "trainer.precision=bf16-mixed", *quick)
    folders = [tmp_path / name for name in ("whole", "interrupted")]
    with monkeypatch.context() as patch:
        interrupt(patch, config.copy(), folders[1], Crash(stage, 3, False))
    for folder in folders:
        fit.run(config.copy(), folder)
    assert not differing(*folders, stages=[stage])


def test_an_evaluation_that_was_interrupted_is_logged_where_the_training_ended(
    finished, tiny, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "DONE").unlink()
    (folder / "classifier/last.ckpt").touch()  # of a kill right after the last checkpoint
    metrics = folder / "classifier/metrics.csv"
    logged = metrics.read_bytes()
    for text in (logged, logged[: logged.rstrip().rfind(b"\n") + 1]):
        metrics.write_bytes(text)
        fit.run(tiny(), folder)
        assert metrics.read_bytes() == logged
        (folder / "DONE").unlink()
    assert not list(folder.rglob("last.ckpt"))


def test_a_checkpoint_that_is_not_written_to_its_end_leaves_the_earlier_one(
    tiny, tmp_path, monkeypatch
):
    config = tiny()
    schedule = instantiate(config.stages.representation.schedule)
    trainer = trainer_module.build_trainer(config, tmp_path, schedule, logs=False)
    path = tmp_path / "last.ckpt"
    trainer.strategy.checkpoint_io.save_checkpoint({"step": 1}, path)

    def half(content, file):
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        trainer.strategy.checkpoint_io.save_checkpoint({"step": 2}, path)
    assert torch.load(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def start(folder: Path, overrides: list[str], **options) -> subprocess.Popen:
    command = [sys.executable, "run.py", *overrides, f"hydra.run.dir={folder}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [*command, "checkpoint_every_minutes=0.0001"],
        cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, encoding="utf-8", **options,
    )  # fmt: skip


def wait_until_saved(process: subprocess.Popen, last: Path, saves: int) -> None:
    """Wait until the checkpoint of a running process has been written `saves` times."""
    seen: set[int] = set()
    while len(seen) < saves:
        assert process.poll() is None, "ended before it could be killed"
        if last.exists():
            seen.add(last.stat().st_mtime_ns)
        time.sleep(0.002)


def kill_when_saved(process: subprocess.Popen, last: Path, saves: int) -> None:
    """Kill the process right after its checkpoint has been written `saves` times."""
    wait_until_saved(process, last, saves)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_two_processes_report_what_their_checkpoint_measures(tiny_overrides, tiny, tmp_path):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    options = ["datamodule.val_batch_size=1", "report.images=1"]
    folder = tmp_path / "two"
    process = start(folder, [*tiny_overrides, *options, *two], stderr=subprocess.PIPE)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert not [line for line in errors.splitlines() if "deprecated" in line or "sync_dist" in line]
    test_job.run(tiny(*options), folder)
    assert json.loads((again_in(folder) / "results.json").read_text()) == results(folder)


@pytest.mark.slow
def test_two_processes_that_are_told_to_end_do(tiny_overrides, tmp_path):
    """Lightning's own handler of SIGTERM lets them wait for each other for ever, now and then."""
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    for stage, saves in (("representation", 1), ("representation", 2), ("classifier", 1)):
        process = start(tmp_path, [*tiny_overrides, *two])
        wait_until_saved(process, tmp_path / stage / "last.ckpt", saves)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert start(tmp_path, [*tiny_overrides, *two]).wait() == 0
    assert results(tmp_path)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_like_an_uninterrupted_one(
    tiny_overrides, differing, tmp_path
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for stage, saves in (("representation", 3), ("classifier", 2)):
        kill_when_saved(start(killed, tiny_overrides), killed / stage / "last.ckpt", saves)
        assert not (killed / stage / "final.ckpt").exists()
    for folder in (killed, whole):
        assert start(folder, tiny_overrides).wait() == 0
    assert not differing(killed, whole)
    assert results(killed) == results(whole)


def test_starting_and_explaining_a_command_does_not_import_torch(tmp_path):
    folder = f"hydra.run.dir={tmp_path}"
    for arguments in (["--help"], ["job=fly", folder], ["+experiment=bacl_demo", "--cfg=job"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "run.py", *arguments],
            cwd=REPOSITORY, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
        assert "hydra" in modules
        assert not {"torch", "lightning", "matplotlib"} & modules
    assert "job:" in done.stdout
