"""What the trainer's options say."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bacl.assembly.trainer import build_fabric, configured_processes, single_device_trainer
from bacl.command.overview import CONF


@pytest.mark.parametrize(
    ("devices", "nodes", "expected"),
    [(1, 1, 1), (4, 2, 8), ("4", 1, 4), ([0, 2], 2, 4), ("auto", 2, 1), (-1, 1, 1)],
)
def test_processes_that_share_a_batch(devices, nodes, expected):
    config = OmegaConf.create({"trainer": {"devices": devices, "num_nodes": nodes}})
    assert configured_processes(config) == expected


@pytest.fixture
def precision_of_products():
    before = torch.get_float32_matmul_precision()
    yield torch.get_float32_matmul_precision
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("build", [build_fabric, single_device_trainer])
@pytest.mark.parametrize(
    ("options", "expected"), [({"matmul_precision": "high"}, "high"), ({}, "highest")]
)
def test_how_float32_is_multiplied_is_an_option(precision_of_products, build, options, expected):
    target = {"_target_": "lightning.pytorch.Trainer", "accelerator": "cpu", "precision": "32-true"}
    build(OmegaConf.create({"trainer": target | options}))
    assert precision_of_products() == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("cpu", "highest"), ("gpu", "high"), ("ddp", "high")]
)
def test_on_a_gpu_it_is_tf32(name, expected):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose(overrides=[f"+trainer={name}"]).trainer.matmul_precision == expected
