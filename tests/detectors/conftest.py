"""The recorded numbers of the published detector's parts, and detectors of conf/detector."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from bacl.data.batch import Target, padded_sides
from bacl.detectors.captured import CapturedExtractor
from bacl.detectors.faster_rcnn import FasterRCNN

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = REPOSITORY / "conf"
CLASSES = 30


def build(name: str, *overrides: str, num_classes: int = CLASSES) -> FasterRCNN:
    """A detector of conf/detector with random weights."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        added = [f"+detector={name}", f"+data.num_classes={num_classes}"]
        config = compose(overrides=[*added, "detector.backbone.weights=null", *overrides])
    return instantiate(config.detector, _convert_="all")


def target(
    boxes: list[list[float]] | np.ndarray, labels: list[int], size: tuple[int, int]
) -> Target:
    none = torch.zeros(0, dtype=torch.int64)
    return Target(
        image_id=0,
        boxes=torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.as_tensor(labels, dtype=torch.int64),
        size=size,
        padded_size=padded_sides(*size),
        original_size=size,
        negative=none,
        not_exhaustive=none,
    )


@pytest.fixture(scope="session", name="build")
def build_fixture() -> Callable[..., FasterRCNN]:
    return build


@pytest.fixture(scope="session", name="target")
def target_fixture() -> Callable[..., Target]:
    return target


@pytest.fixture(scope="session")
def recipe(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe", shared / "published" / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded(shared: Path) -> Callable[[str], dict[str, np.ndarray]]:
    return lambda name: np.load(shared / "published" / f"{name}.npz")


@pytest.fixture(scope="session")
def recorded_masks() -> dict[str, np.ndarray]:
    """Part of `e_mask_head` that lies in the repository (C = 6, three RoIs, masks of 64 x 80).

    `features` are the predictor's input at 2 x 2 positions, `logits` all classes' masks there,
    `own_logits` the whole masks of the RoIs' own classes.
    """
    return np.load(REPOSITORY / "tests" / "data" / "recorded_masks.npz")


class Replayed(CapturedExtractor):
    """Captures on a CPU."""

    patience = 3

    def __init__(self, shapes, canvases=None):
        super().__init__(shapes, canvases)
        self.recorded, self.replayed = [], 0

    def serves(self, images, live):
        return not (live and torch.is_grad_enabled())

    def record(self, compute, device):
        levels = tuple(level.clone() for level in compute())
        self.recorded.append(tuple(levels[0].shape[2:]))

        def replay():
            self.replayed += 1
            for place, level in zip(levels, compute(), strict=True):
                place.copy_(level)

        return replay, levels


@pytest.fixture
def replayed() -> type[Replayed]:
    """Graphs with a stand-in that computes again where a GPU would replay."""
    return Replayed
