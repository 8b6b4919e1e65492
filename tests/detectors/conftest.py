"""The recorded numbers of the published detector, and a detector with its weights."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from bacl.data.batch import Target, padded_sides
from bacl.detectors.faster_rcnn import FasterRCNN

CONF = Path(__file__).resolve().parents[2] / "conf"
CLASSES = 30

PUBLISHED_NAMES = {
    "neck.lateral_convs.": "fpn.lateral.",
    "neck.fpn_convs.": "fpn.output.",
    "rpn_head.rpn_conv.": "rpn.head.conv.",
    "rpn_head.rpn_cls.": "rpn.head.objectness.",
    "rpn_head.rpn_reg.": "rpn.head.deltas.",
    "roi_head.bbox_head.shared_fcs.": "box_head.shared_fcs.",
    "roi_head.bbox_head.fc_reg.": "box_regression.fc.",
}


def our_name(published: str) -> str:
    """Name of a published state-dict entry in our detector."""
    for theirs, ours in PUBLISHED_NAMES.items():
        if published.startswith(theirs):
            return ours + published.removeprefix(theirs).replace("conv.", "")
    return published


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
def published_keys(shared: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Key and shape of every entry of the published R-50 checkpoint that our detector has."""
    keys = json.loads((shared / "published" / "a_state_dict_keys_r50.json").read_text())
    own_by_others = ("fc_cls", "feature_", "loss_cls")
    return [
        (key, (CLASSES * 4, *shape[1:]) if "fc_reg" in key else tuple(shape))
        for key, shape, _ in keys["faster_r50_v0.5_classifier"]
        if not any(part in key for part in own_by_others)
    ]


@pytest.fixture(scope="session")
def published_state(recipe, published_keys) -> dict[str, torch.Tensor]:
    return {
        our_name(key): torch.from_numpy(np.asarray(recipe.weight(key, shape)))
        for key, shape in published_keys
    }


@pytest.fixture(scope="session")
def recorded_detector(published_state) -> FasterRCNN:
    detector = build("faster_rcnn_r50")
    detector.load_state_dict(published_state, strict=True)
    return detector


@pytest.fixture(scope="session")
def recorded_images(recipe) -> torch.Tensor:
    return torch.from_numpy(recipe.images())


@pytest.fixture(scope="session")
def recorded_targets(recipe) -> list[Target]:
    parts = zip(recipe.BOXES, recipe.LABELS_30, recipe.VALID_SIZE, strict=True)
    return [target(boxes, labels, size) for boxes, labels, size in parts]


@pytest.fixture(scope="session")
def recorded_pyramid(recorded_detector, recorded_images) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return recorded_detector.pyramid(recorded_images)
