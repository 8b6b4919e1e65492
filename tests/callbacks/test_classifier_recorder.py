import csv
import pickle

import numpy as np
import pytest
import torch

from bacl.callbacks.classifier_recorder import ClassifierRecorder, append_row, last_norms, measure
from bacl.evaluation.coco_ap import groups_by_count
from bacl.loggers.csv_logger import CSVLogger


def test_measure_gives_row_norms_indicator_and_seen(stage):
    (head,) = stage.heads["bacl"].classifiers
    with torch.no_grad():
        head.predictor.weight[:] = torch.arange(5.0)[:, None]
    head.hallucination.seen[2] = True
    row = measure(head)
    np.testing.assert_allclose(row["weight_norm"], np.arange(5) * 6**0.5, rtol=1e-6)
    np.testing.assert_array_equal(row["seen"], [False, False, True, False])
    np.testing.assert_allclose(row["strength"], head.criterion.indicator.strength())
    assert set(measure(stage.heads["bce"].classifiers[0])) == {"weight_norm"}


def test_a_row_replaces_those_of_the_same_and_later_epochs(tmp_path):
    path = tmp_path / "head.npz"
    for epochs in (0, 1, 2, 1):
        append_row(path, epochs, {"weight_norm": np.full(3, 10.0 * epochs)})
    with np.load(path) as file:
        assert file["epochs"].tolist() == [0, 1]
        assert file["weight_norm"].tolist() == [[0, 0, 0], [10, 10, 10]]


@pytest.mark.usefixtures("rendered")
def test_records_start_and_every_epoch_of_every_head(fit, stage, tmp_path):
    fit(ClassifierRecorder(), stage=stage)
    with np.load(tmp_path / "heads" / "bacl.npz") as file:
        assert file["epochs"].tolist() == [0, 1, 2]
        assert {name: file[name].shape for name in ("weight_norm", "strength", "seen")} == {
            "weight_norm": (3, 5), "strength": (3, 4), "seen": (3, 4)
        }  # fmt: skip
        assert not file["seen"][0].any()
        assert file["seen"][2].all()  # the four batches of an epoch have the labels 0 to 3
        final = stage.heads["bacl"].classifiers[0].predictor.weight.detach().norm(dim=1)
        np.testing.assert_allclose(file["weight_norm"][2], final, rtol=1e-6)
    assert (tmp_path / "heads" / "bce.npz").exists()
    assert (tmp_path / "heads" / "weight_norms.png").stat().st_size > 10_000


def test_resumed_run_continues_the_record(fit, saved, tmp_path):
    fit(ClassifierRecorder(), epochs=1).save_checkpoint(saved)
    fit(ClassifierRecorder(), epochs=2, resume=saved)
    with np.load(tmp_path / "heads" / "bce.npz") as file:
        assert file["epochs"].tolist() == [0, 1, 2]


def test_logs_mean_norm_of_each_group(fit, stage, tmp_path):
    fit(ClassifierRecorder(), stage=stage, epochs=1, logger=CSVLogger(tmp_path))
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    norms = stage.heads["bacl"].classifiers[0].predictor.weight.detach().norm(dim=1)
    logged = {name: row[name] for row in rows for name in row if row[name]}
    means = [float(logged[f"classifier/bacl/weight_norm_{key}"]) for key in "fcr"]
    np.testing.assert_allclose(means, [norms[0], norms[1], norms[2:4].mean()], rtol=1e-6)


def test_groups_are_the_metrics(fit, stage, tmp_path):
    for metric in stage.metrics.values():
        metric.grouping = groups_by_count(np.array([900, 70, 9, 2]), [10, 80])
    fit(ClassifierRecorder(), stage=stage, epochs=1, logger=CSVLogger(tmp_path))
    (header,) = [line for line in (tmp_path / "metrics.csv").open() if "weight_norm" in line]
    own = {name for name in header.strip().split(",") if name.startswith("classifier/bce/")}
    assert own == {f"classifier/bce/weight_norm_{key}" for key in "123"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(range(256)), pickle.dumps([1])])
def test_a_damaged_record_begins_anew(tmp_path, content):
    path = tmp_path / "head.npz"
    path.write_bytes(content)
    assert last_norms(tmp_path) == {}
    append_row(path, 2, {"weight_norm": np.ones(3)})
    assert last_norms(tmp_path)["head"].tolist() == [1, 1, 1]


def test_records_of_another_size_begin_anew(tmp_path):
    path = tmp_path / "head.npz"
    append_row(path, 1, {"weight_norm": np.ones(3)})
    append_row(path, 2, {"weight_norm": np.ones(4)})
    assert last_norms(tmp_path)["head"].tolist() == [1, 1, 1, 1]
