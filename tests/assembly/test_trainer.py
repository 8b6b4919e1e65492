"""What the trainer's options say."""

import pytest
from omegaconf import OmegaConf

from bacl.assembly.trainer import configured_processes


@pytest.mark.parametrize(
    ("devices", "nodes", "expected"),
    [(1, 1, 1), (4, 2, 8), ("4", 1, 4), ([0, 2], 2, 4), ("auto", 2, 1), (-1, 1, 1)],
)
def test_processes_that_share_a_batch(devices, nodes, expected):
    config = OmegaConf.create({"trainer": {"devices": devices, "num_nodes": nodes}})
    assert configured_processes(config) == expected
