"""The numbers recorded from the published code, and our models with the weights it had.

They lie beside the checkout, or, a part of them, in tests/data/published.
"""

import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor

from bacl.assembly.build import build_stage, only_head
from bacl.checkpoints.handover import Categories
from bacl.checkpoints.mmdet import load_published
from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.data.batch import Target, padded_sides
from bacl.stages import DetectionStage

REPOSITORY = Path(__file__).parents[2]
CONF = REPOSITORY / "conf"
WHOLE = REPOSITORY.parent / "shared" / "published"
PART = REPOSITORY / "tests" / "data" / "published"
FOLDER = WHOLE if WHOLE.is_dir() else PART
CLASSES = 30


@dataclass(frozen=True)
class Kind:
    """A published model: where its configuration is, and its names."""

    experiment: str
    stage: str
    keys: str = "faster_r50_v0.5_classifier"
    classes: int = CLASSES
    overrides: tuple[str, ...] = ()
    """Of this kind alone."""


SHARED = "head.hallucination.box_generator.shared=true"
KINDS = {
    "baseline": Kind("baseline_lvis05", "end_to_end"),
    "representation": Kind("bacl_lvis05", "representation"),
    "classifier": Kind("bacl_lvis05", "classifier", overrides=(SHARED,)),
}
"""Models that were recorded from images to detections."""
MASK = "detector=mask_rcnn_r50"
MODELS = KINDS | {"masks": Kind("bacl_lvis05", "classifier", "mask_r50_v1_classifier", 6, (MASK,))}
PARITY = "+detector.postprocess.suppress_equal=true"
"""With `SHARED`, what selects the published behaviour on a CPU where ours differs on purpose."""
CLASSIFIER_STAGE_ALONE = ("feature_", "loss_cls")


class NotRecordedError(Exception):
    """The recorded part that is here lacks these numbers."""


class Numbers:
    """Recorded arrays of one file, by name, as tensors."""

    def __init__(self, name: str) -> None:
        path = FOLDER / f"{name}.npz"
        if not path.is_file():
            raise NotRecordedError(f"{path} is not here")
        self._arrays = np.load(path)

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._arrays:
            raise NotRecordedError(f"{key} is not in the part that is here")
        return torch.from_numpy(np.asarray(self._arrays[key]))

    def text(self, key: str) -> str:
        """A recorded note."""
        return str(self._arrays[key])

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def keys(self, prefix: str) -> list[str]:
        """Names that begin with `prefix`."""
        return [key for key in self._arrays.files if key.startswith(prefix)]


@cache
def numbers(name: str) -> Numbers:
    """What one file holds."""
    return Numbers(name)


@cache
def recipe() -> ModuleType:
    """The module that makes weights and images from names."""
    spec = importlib.util.spec_from_file_location("recipe", FOLDER / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_array(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers that a name makes."""
    return torch.from_numpy(recipe().random_state(name).standard_normal(shape).astype(np.float32))


def published_keys(kind: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published R-50 checkpoint, for our number of categories."""
    model = MODELS[kind]
    listed = json.loads((FOLDER / "a_state_dict_keys_r50.json").read_text())[model.keys]
    shapes = {key: tuple(shape) for key, shape, _ in listed}
    (count,) = shapes["roi_head.bbox_head.feature_used"]
    sides = {count: model.classes, count + 1: model.classes + 1, 4 * count: 4 * model.classes}
    return {
        key: tuple(sides.get(side, side) for side in shape)
        for key, shape in shapes.items()
        if model.stage == "classifier" or not any(part in key for part in CLASSIFIER_STAGE_ALONE)
    }


@cache
def weight(key: str, shape: tuple[int, ...]) -> Tensor:
    """What a name makes, in every kind that has one of this shape."""
    return torch.from_numpy(np.asarray(recipe().weight(key, shape)))


def published_state(kind: str) -> dict[str, Tensor]:
    """The checkpoint that was recorded; is only read."""
    return {key: weight(key, shape) for key, shape in published_keys(kind).items()}


def new_stage(kind: str) -> DetectionStage:
    """The experiment's stage with the published weights, through the importer.

    Raises:
        NotRecordedError: there is no such detector.
    """
    model = MODELS[kind]
    if MASK in model.overrides and not (CONF / "detector/mask_rcnn_r50.yaml").is_file():
        raise NotRecordedError("there is no detector=mask_rcnn_r50")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = [f"+experiment={model.experiment}", f"data.num_classes={model.classes}"]
        config = compose("config", overrides=[*chosen, PARITY, *model.overrides])
    stage = build_stage(config, model.stage, pretrained=False)
    file = PublishedFile(FOLDER / "recipe.py", published_state(kind), None)
    ids = list(range(model.classes))
    categories = Categories(ids, [f"category {label}" for label in ids])
    load_published(file, stage.detector, stage.heads[only_head(stage, model.stage)], categories)
    return stage


@cache
def stage(kind: str) -> DetectionStage:
    """A stage that is only looked at."""
    return new_stage(kind).eval()


@cache
def images() -> Tensor:
    """(2, 3, 256, 320)."""
    return torch.from_numpy(recipe().images())


def targets() -> list[Target]:
    """The objects of both images."""
    none = torch.zeros(0, dtype=torch.int64)
    source = recipe()
    parts = zip(source.BOXES, source.LABELS_30, source.VALID_SIZE, source.SCALE_FACTOR, strict=True)
    return [
        Target(
            image_id=index,
            boxes=torch.from_numpy(boxes),
            labels=torch.from_numpy(labels),
            size=size,
            padded_size=padded_sides(*size),
            original_size=tuple(round(side / factor) for side in size),
            negative=none,
            not_exhaustive=none,
        )
        for index, (boxes, labels, size, factor) in enumerate(parts)
    ]


@cache
def pyramid() -> tuple[Tensor, ...]:
    """P2 to P6 of both images; the same for all kinds."""
    with torch.no_grad():
        return stage("representation").detector.pyramid(images())
