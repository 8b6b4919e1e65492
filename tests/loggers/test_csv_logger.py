import csv

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from bacl.loggers.csv_logger import CSVLogger, MetricsFile, read_rows
from bacl.loggers.measurements import Quantity
from bacl.messages.errors import UserError

LOSS = Quantity("", None, "loss")


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


def test_rows_after_those_that_are_kept_are_cut_off(tmp_path):
    log(tmp_path, (0, {"loss": 1.0}), (1, {"loss": 0.5}), (2, {"loss": 0.2}))
    file = MetricsFile(tmp_path)
    assert file.rows == 3
    file.keep(1)
    file.log_metrics({"loss": 0.25}, 1)
    file.save()
    assert file.rows == 2
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0", "0.25"]


DAMAGED = {
    "another row": b"nonsense\r\n", "too many": b"3,1,2,3\r\n", "no number": b"1,much\r\n",
    "no step": b"x,0.5\r\n", "binary": bytes(range(14, 256)) + b"\n", "NUL": b"\0\0\0\r\n",
    "an open quote": b'1,"0.5\r\n',
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_good_rows_of_a_damaged_file_are_kept(tmp_path, damage):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"step,loss\r\n0,1.0\r\n" + damage + b"2,0.5\r\n")
    assert list(read_rows(path)) == [(0, {LOSS: 1.0}), (2, {LOSS: 0.5})]
    log(tmp_path, (3, {"loss": 0.25}))
    assert [row["step"] for row in rows(tmp_path)] == ["0", "2", "3"]


def test_damaged_rows_count_among_those_that_are_kept(tmp_path, caplog):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"step,loss\r\n0,1.0\r\nnonsense\r\n2,0.5\r\n3,0.4\r\n4,0.3\r\nx\r\n5,0")
    file = MetricsFile(tmp_path)
    assert caplog.text.count("2 damaged rows are left out") == 1
    file.keep(3)
    assert file.rows == 2
    assert [row["step"] for row in rows(tmp_path)] == ["0", "2"]
    file.keep(2)  # what is counted now are the rows of the new file
    assert [row["step"] for row in rows(tmp_path)] == ["0", "2"]


def test_an_unfinished_row_is_no_damage(tmp_path, caplog):
    (tmp_path / "metrics.csv").write_bytes(b"step,loss\r\n0,1.0\r\n1,0")
    assert MetricsFile(tmp_path).rows == 1
    assert not caplog.text


@pytest.mark.parametrize("content", [b"", bytes(range(256)), b"a,b\r\n1,2\r\n", b"step,step\r\n"])
def test_a_file_without_columns_begins_anew(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    log(tmp_path, (0, {"loss": 1.0}))
    assert rows(tmp_path) == [{"step": "0", "loss": "1.0"}]


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(UserError, match=r"metrics\.csv cannot be read: Is a directory; move it"):
        MetricsFile(tmp_path)
