import csv

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from bacl.callbacks.csv_logger import CSVLogger, MetricsFile


def rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").open(newline="")))


def log(folder, *records):
    """One process that logs these records."""
    logger = CSVLogger(folder)
    for step, record in records:
        logger.log_metrics(record, step)
        logger.save()
    logger.finalize("success")


def test_writes_into_its_folder(tmp_path):
    log(tmp_path / "stage", (3, {"loss": torch.tensor(0.5)}))
    assert rows(tmp_path / "stage") == [{"step": "3", "loss": "0.5"}]


def test_a_later_process_continues(tmp_path):
    log(tmp_path, (0, {"loss": 1.0}), (1, {"loss": 0.5}))
    log(tmp_path, (1, {"loss": 0.6}), (2, {"loss": 0.4}))
    assert [(r["step"], r["loss"]) for r in rows(tmp_path)] == [
        ("0", "1.0"), ("1", "0.5"), ("1", "0.6"), ("2", "0.4"),
    ]  # fmt: skip


def test_new_and_missing_columns(tmp_path):
    log(tmp_path, (0, {"loss": 1.0}), (1, {"AP": 0.2}))
    log(tmp_path, (2, {"speed": 3.0}), (3, {"loss": 0.1}))
    assert rows(tmp_path) == [
        {"step": "0", "loss": "1.0", "AP": "", "speed": ""},
        {"step": "1", "loss": "", "AP": "0.2", "speed": ""},
        {"step": "2", "loss": "", "AP": "", "speed": "3.0"},
        {"step": "3", "loss": "0.1", "AP": "", "speed": ""},
    ]


def test_half_written_row_of_a_killed_process_is_dropped(tmp_path):
    log(tmp_path, (0, {"loss": 1.0}), (1, {"loss": 0.5}))
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-4])
    log(tmp_path, (1, {"loss": 0.7}))
    assert [r["loss"] for r in rows(tmp_path)] == ["1.0", "0.7"]


def test_half_written_header_begins_anew(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,lo")
    log(tmp_path, (0, {"loss": 1.0}))
    assert rows(tmp_path) == [{"step": "0", "loss": "1.0"}]


def test_an_interrupted_new_column_loses_nothing(tmp_path, monkeypatch):
    log(tmp_path, (0, {"loss": 1.0}))
    file = MetricsFile(tmp_path)
    file.log_metrics({"AP": 0.5}, 1)
    monkeypatch.setattr(csv.DictWriter, "writerows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        file.save()
    assert rows(tmp_path) == [{"step": "0", "loss": "1.0"}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_hyperparameters_are_written(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.log_hyperparams({"head": {"alpha": 0.85}})
    assert "alpha: 0.85" in (tmp_path / "hparams.yaml").read_text()


def test_resumed_training_keeps_every_step(fit, saved, tmp_path):
    folder = tmp_path / "logs"
    fit(epochs=1, logger=CSVLogger(folder)).save_checkpoint(saved)
    (folder / "last.ckpt").touch()  # Lightning's own logger clears a folder that is not empty
    fit(epochs=2, logger=CSVLogger(folder), resume=saved)
    assert [int(row["step"]) for row in rows(folder) if row["train/box"]] == list(range(8))


def test_checkpoints_stand_beside_it(fit, tmp_path):
    last = ModelCheckpoint(dirpath=tmp_path, filename="last", enable_version_counter=False)
    trainer = fit(last, logger=CSVLogger(tmp_path), epochs=1, enable_checkpointing=True)
    assert trainer.log_dir.rstrip("/") == str(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv", "last.ckpt"}
