import json

import pytest
import wandb

from bacl.callbacks.classifier_recorder import ClassifierRecorder
from bacl.loggers.exhibits import Figure, show
from bacl.loggers.spared_logger import SparedLogger
from bacl.loggers.wandb_logger import WandbLogger


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    wandb.finish()


def offline_logger(folder):
    return WandbLogger(folder, project="bacl", offline=True)


def test_id_belongs_to_the_folder(tmp_path):
    first = offline_logger(tmp_path / "run" / "classifier")
    again = offline_logger(tmp_path / "run" / "classifier")
    other = offline_logger(tmp_path / "run" / "representation")
    assert first.version == again.version == (
        tmp_path / "run" / "classifier" / "wandb_id.txt").read_text().strip()  # fmt: skip
    assert other.version != first.version


def test_whole_run_offline(fit, tmp_path):
    folder = tmp_path / "stage"
    logger = offline_logger(folder)
    logger.log_hyperparams({"head": {"loss": {"alpha": 0.85}}, "seed": 0})
    fit(ClassifierRecorder(), logger=SparedLogger(logger), epochs=1)
    show([SparedLogger(logger)], {"figure": Figure(tmp_path / "heads" / "weight_norms.png")}, 4)
    run = logger.experiment
    assert run.id == logger.version
    assert run.config["head/loss/alpha"] == 0.85
    assert run.name == f"{tmp_path.name}/stage"
    summary = dict(run.summary)
    assert summary["trainer/global_step"] == 4
    assert summary["classifier/bacl/weight_norm_r"] > 0
    assert summary["classifier/weight_norm_table"]["nrows"] == 4
    panels = ("norms", "drawn", "margins_r", "margins_c", "margins_f")
    assert {"figure", "classifier/indicators"} <= set(summary)
    assert {f"classifier/bacl/{panel}" for panel in panels} <= set(summary)
    wandb.finish()
    [files] = folder.glob("wandb/offline-run-*/files")
    tables = list(files.glob("media/table/classifier/weight_norm_table*.json"))
    assert len(tables) == 2  # before the first epoch and after it
    content = json.loads(tables[0].read_text())
    assert content["columns"] == ["category", "group", "instances", "bacl", "bce"]
    assert [row[0] for row in content["data"]] == ["cup", "lamp", "kiwi", "emu"]
    assert not list((tmp_path / "home").rglob("*artifact*"))


def test_second_stage_of_a_process_gets_its_own_run(tmp_path):
    first, second = offline_logger(tmp_path / "a"), offline_logger(tmp_path / "b")
    ids = [first.experiment.id, second.experiment.id]
    assert ids == [first.version, second.version]
    assert wandb.run.id == second.version


def test_in_a_sweep_the_run_is_the_agents(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    assert offline_logger(tmp_path / "a").version == "given"
    assert not (tmp_path / "a" / "wandb_id.txt").exists()


def test_two_loggers_of_a_folder_share_its_run(tmp_path, recwarn):
    first, second = offline_logger(tmp_path), offline_logger(tmp_path)
    assert first.experiment is second.experiment
    assert not [w for w in recwarn if "already in progress" in str(w.message)]


def test_failed_training_closes_its_run(tmp_path):
    logger = offline_logger(tmp_path)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("failed")
    assert wandb.run is None


def test_without_an_account_the_run_goes_offline_and_says_how_to_mend_it(
    tmp_path, monkeypatch, caplog
):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    wandb.teardown()  # earlier tests have told it to be offline
    logger = WandbLogger(tmp_path / "run", project="bacl", offline=False)
    logger.log_metrics({"loss": 1.0}, 0)
    assert logger.experiment.offline
    [record] = [each for each in caplog.records if each.name.startswith("bacl")]
    assert "logger.wandb.offline=true" in record.getMessage()
    assert "\n" not in record.getMessage()
    wandb.finish()
    assert list((tmp_path / "run").glob("wandb/offline-run-*"))
    monkeypatch.delenv("WANDB_MODE", raising=False)  # Lightning sets it
