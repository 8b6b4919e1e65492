"""What the tests of tables and figures are made of."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from bacl.reporting.ablation import Ablation, Row


@pytest.fixture(autouse=True)
def _drawn(rendered):
    """These tests look at figures."""


@pytest.fixture
def pixels():
    """How many pixels of a PNG have a colour."""

    def count(path, colour):
        image = imread(path)[..., :3]
        return int((np.abs(image - to_rgb(colour)).max(axis=-1) < 0.02).sum())

    return count


@pytest.fixture
def run():
    """The measures of a finished run, without a rare category where its AP is not given."""

    def measures(ap: float, rare: float = -1.0) -> dict[str, float]:
        return {"AP": ap, "APr": rare, "APc": 0.25, "APf": 0.5}

    return measures


@pytest.fixture
def table(run) -> Ablation:
    """Our runs of a number beside the paper's, one of which is missing."""
    rows = [
        Row("0", {0: run(0.25), 1: run(0.27)}, paper=[27.2, 20.7, 26.9, 30.2]),
        Row("0.85", {0: run(0.30, 0.2)}, paper=[27.8, 20.1, 28.2, 30.3], default=True),
        Row("1.0", {}, {-1: "not run"}, paper=[27.5, 21.3, 27.4, 30.2]),
    ]
    return Ablation("alpha", "Tab. IV: α", rows, axis="α", note="A note.")
