"""Every exhibit, read back from what W&B and TensorBoard wrote without a network."""

import json

import numpy as np
import pytest
import wandb
from lightning.pytorch.loggers import Logger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from bacl.loggers.exhibits import (
    BoxedPicture,
    BoxedPictures,
    BoxLayer,
    Figure,
    Histogram,
    Lines,
    Table,
    show,
    show_made,
)
from bacl.loggers.spared_logger import SparedLogger
from bacl.loggers.tensorboard_logger import TensorBoardLogger
from bacl.loggers.wandb_logger import WandbLogger


@pytest.fixture
def exhibits(tmp_path):
    Image.new("RGB", (8, 6), (0, 0, 255)).save(tmp_path / "figure.png")
    corners = np.array([[0.1, 0.2, 0.3, 0.8]])
    truth = BoxLayer(corners, [3], ["cup"])
    found = BoxLayer(corners, [5], ["lamp 0.9, wrong"], [0.9])
    none = BoxLayer(np.zeros((0, 4)), [], [], [])
    image = np.full((40, 60, 3), 200, np.uint8)
    layers = {"ground_truth": truth, "bacl": found, "bacl, not judged": found, "bce": none}
    return {
        "figures/one": Figure(tmp_path / "figure.png"),
        "examples/detections": BoxedPictures(
            [BoxedPicture(image, "image 7", layers)], {3: "cup", 5: "lamp"}
        ),
        "tables/categories": Table(["category", "AP"], [["cup|mug", 0.5], ["lamp", None]]),
        "classifier/margins": Histogram(np.array([1, 0, 3]), np.array([-1.0, 0.0, 1.0, 2.0])),
        "classifier/lines": Lines({"a": np.arange(3.0), "b": np.ones(3)}, "norms", "categories"),
    }


@pytest.fixture
def run(exhibits, tmp_path, monkeypatch):
    """The files and the summary of a run of W&B that they were shown in."""
    for name, value in (("MODE", "offline"), ("SILENT", "true"), ("DATA_DIR", str(tmp_path))):
        monkeypatch.setenv(f"WANDB_{name}", value)
    logger = WandbLogger(tmp_path / "run", project="bacl", offline=True)
    show([SparedLogger(logger)], exhibits, 4)
    summary = dict(logger.experiment.summary)
    wandb.finish()
    [files] = (tmp_path / "run").glob("wandb/offline-run-*/files")
    return files, summary


def test_wandb_has_all_of_them_at_the_step(run, exhibits):
    files, summary = run
    assert set(exhibits) - {"classifier/lines"} <= set(summary)
    assert "classifier/lines_table" in summary
    assert summary["trainer/global_step"] == 4
    assert summary["classifier/margins"]["values"] == [1, 0, 3]
    [table] = files.glob("media/table/tables/categories*.json")
    assert json.loads(table.read_text())["data"] == [["cup|mug", 0.5], ["lamp", None]]


def test_wandb_has_layers_of_boxes_with_names_to_switch(run):
    files, summary = run
    layers = summary["examples/detections"]["all_boxes"][0]
    assert set(layers) == {"ground_truth", "bacl", "bacl, not judged"}
    found = {json.loads(path.read_text())["box_data"][0]["box_caption"]: path
             for path in files.glob("media/metadata/boxes2D/examples/*.json")}  # fmt: skip
    content = json.loads(found["lamp 0.9, wrong"].read_text())
    assert content["class_labels"] == {"3": "cup", "5": "lamp"}
    [box] = content["box_data"]
    assert box["position"] == {"minX": 0.1, "minY": 0.2, "maxX": 0.3, "maxY": 0.8}
    assert (box["class_id"], box["scores"]) == (5, {"score": 0.9})
    assert list(files.glob("media/images/examples/*.jpg"))


def test_tensorboard_has_what_it_has_a_form_for(exhibits, tmp_path):
    logger = TensorBoardLogger(tmp_path / "run")
    show([SparedLogger(logger)], exhibits, 4)
    logger.save()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    tags = events.Tags()
    assert tags["images"] == [
        "figures/one",
        *(f"examples/detections/0/{name}" for name in
          ("ground_truth", "bacl", "bacl, not judged", "bce")),
    ]  # fmt: skip
    [text] = events.Tensors("tables/categories/text_summary")
    [content] = tensor_util.make_ndarray(text.tensor_proto).ravel().tolist()
    assert "| cup\\|mug | 0.5 |" in content.decode()
    [histogram] = events.Histograms("classifier/margins")
    assert (histogram.step, histogram.histogram_value.num) == (4, 4)
    assert histogram.histogram_value.bucket == [1, 0, 3]


class Silent(Logger):
    name, version = "silent", 0

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        pass


def test_nothing_is_made_for_loggers_that_show_nothing():
    show_made([SparedLogger(Silent())], {"figure": lambda: pytest.fail("it was made")}, 0)


def test_a_panel_that_cannot_be_made_leaves_the_others_and_the_logger(exhibits, tmp_path, caplog):
    logger = SparedLogger(TensorBoardLogger(tmp_path / "run"))
    makers = {"bad": lambda: 1 / 0, "figures/one": lambda: exhibits["figures/one"]}
    show_made([logger], makers, 0)
    [record] = caplog.records
    assert "not shown in loggers: bad (ZeroDivisionError" in record.getMessage()
    logger.save()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["figures/one"]
