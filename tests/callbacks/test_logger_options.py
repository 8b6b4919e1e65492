from functools import partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.loggers.csv_logger import CSVLogger
from bacl.loggers.exhibits import Figure, show
from bacl.loggers.spared_logger import SparedLogger
from bacl.reporting.figures import draw_weight_norms

CONF = Path(__file__).parents[2] / "conf"


def loggers(option, folder, *overrides):
    with initialize_config_dir(str(CONF / "logger"), version_base="1.3"):
        options = instantiate(compose(option, list(overrides)))
    assert all(isinstance(make, partial) for make in options.values())
    return {name: make(save_dir=str(folder)) for name, make in options.items()}


def test_csv(tmp_path):
    made = loggers("csv", tmp_path)
    assert set(made) == {"csv"}
    assert isinstance(made["csv"], CSVLogger)


@pytest.mark.parametrize("option", ["wandb", "tensorboard"])
def test_every_option_writes_csv_too(option, tmp_path):
    made = loggers(option, tmp_path)
    assert set(made) == {"csv", option}


def test_wandb_offline_from_the_command_line(tmp_path):
    assert loggers("wandb", tmp_path, "wandb.offline=true")["wandb"]._offline


def test_tensorboard_writes_into_a_folder_of_its_own(tmp_path):
    made = loggers("tensorboard", tmp_path)["tensorboard"]
    assert isinstance(made, TensorBoardLogger)
    figure = draw_weight_norms(
        tmp_path / "norms.png", {"bce": [1.0, 2.0]}, [3, 1], groups_by_frequency(["f", "r"])
    )
    show([SparedLogger(made)], {"norms": Figure(figure)}, 1)
    made.save()
    assert list((tmp_path / "tensorboard").glob("events.out.*"))
