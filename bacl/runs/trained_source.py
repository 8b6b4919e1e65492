"""The file that `detector.init_from` names: what it is, by its content."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from torch import nn

from bacl.assembly.allowed import may_be_built
from bacl.checkpoints.conventions import detector_options
from bacl.checkpoints.handover import CheckpointError, State, load_stage, saved_categories
from bacl.checkpoints.mmdet_detector import is_mmdet, mmdet_detector
from bacl.checkpoints.mmdet_file import load_published_file, published_file
from bacl.checkpoints.torchvision_file import is_torchvision, torchvision_detector
from bacl.checkpoints.trained_detector import TrainedDetector, TrainedHead
from bacl.detectors.weights import WeightsError, check_digest, weights_file
from bacl.files.kinds import FINAL, LAST, checkpoint_kind, is_safetensors
from bacl.files.plain_values import MISSING, select
from bacl.files.state_dicts import no_plain_tensor
from bacl.messages.shown import shown
from bacl.runs.continued import loss_of

OPTION = "detector.init_from"
OTHERWISE = f"or set {OPTION} to a file, or to null for the backbone's own weights"
KINDS = (
    "a final.ckpt or .safetensors of ours, or of torchvision's Faster and Mask R-CNN, or of "
    "MMDetection's Faster, Mask and Cascade R-CNN"
)


def read_trained(source: str) -> TrainedDetector:
    """The trained detector in a file, or of torchvision's weights; nothing in it is executed.

    Args:
        source: path of a file, or torchvision's name of weights, such as
            "FasterRCNN_ResNet50_FPN_Weights.COCO_V1", which are fetched where torch's cache has
            none; their SHA-256 is compared.

    Raises:
        CheckpointError: there is no such file, it is damaged, would execute code, or is of no
            detector that is known here.
        WeightsError: there are no such weights, or they cannot be had.
    """
    path = weights_file(source, OPTION, OTHERWISE)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise CheckpointError(f"{OPTION}={path}: {what}; name {KINDS}, or torchvision's weights")
    if is_safetensors(path):
        return _ours(_read_safetensors(path), path)
    content = load_published_file(path)
    kind = checkpoint_kind(content)
    if kind == FINAL:
        return _ours(load_stage(path), path)
    if kind == LAST:
        raise CheckpointError(f"{OPTION}={path}: {kind}")
    return _published(content, path)


def _published(content: Any, path: Path) -> TrainedDetector:
    """Of a file of another program, whose name may carry its digest."""
    try:
        check_digest(path)
    except WeightsError as error:
        raise CheckpointError(f"{OPTION}: {error}") from error
    file = published_file(content, path)
    for is_kind, make in ((is_torchvision, torchvision_detector), (is_mmdet, mmdet_detector)):
        if is_kind(file):
            return make(file)
    begins = shown(", ".join(list(file.state)[:3]))
    raise CheckpointError(
        f"{OPTION}={path}: no detector that is known here (its tensors are {begins} …); name "
        f"{KINDS}. Weights of a backbone alone are detector.backbone.weights"
    )


def _read_safetensors(path: Path) -> State:
    try:
        return load_stage(path)
    except CheckpointError as error:
        raise CheckpointError(
            f"{OPTION}: {error}. Of .safetensors files our own alone (export.format=safetensors) "
            "are read here; weights of a backbone alone are detector.backbone.weights"
        ) from error


def _ours(content: State, path: Path) -> TrainedDetector:
    for key, value in content["detector"].items():
        if problem := no_plain_tensor(value):
            raise CheckpointError(f"{path}: detector.{shown(key)} {problem}")
    predictor = _class(content, "detector.mask.head.predictor")
    return TrainedDetector(
        told="a detector of this project",
        detector=content["detector"],
        heads={name: _head(content, name) for name in content["heads"]},
        names=tuple(saved_categories(content).names),
        mask_predictor=predictor,
        options=detector_options(content),
        left_out={
            f"heads.{name}.{key}": "statistics of a classifier start anew"
            for name, state in content["heads"].items()
            for key in state
            if ".predictor." not in f".{key}"
        },
    )


def _head(content: State, name: str) -> TrainedHead:
    """Layers of a head; of a predictor with a module of classes, that module."""
    levels: dict[str, dict[str, Any]] = {}
    for key, value in content["heads"][name].items():
        level, found, rest = key.partition(".predictor.")
        if found and "." not in level and no_plain_tensor(value) is None:
            levels.setdefault(level, {})[rest] = value
    kind = _class(content, *_nodes(content, name, "predictor"))
    return TrainedHead(levels, loss_of(content, name), kind or nn.Linear)


def _nodes(content: State, name: str, part: str) -> list[str]:
    stages = select(content.get("config"), "stages")
    names = list(stages) if isinstance(stages, dict) else []
    return [f"stages.{stage}.heads.{name}.{part}" for stage in names]


def _class(content: State, *paths: str) -> type[nn.Module] | None:
    """The class that a node of the file's configuration names, if it is one of ours."""
    for path in paths:
        target = select(content.get("config"), f"{path}._target_")
        if target is not MISSING and may_be_built(target):  # a file chooses no code
            found = resolve_name(str(target))
            return found if isinstance(found, type) else None
    return None
