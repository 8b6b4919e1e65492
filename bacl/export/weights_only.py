"""Files of weights, which this project or MMDetection makes a model of."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bacl.assembly.rebuilt import Restored, restore_alone
from bacl.checkpoints.handover import THRESHOLDS, TRAINING
from bacl.checkpoints.mmdet import load_published, published_state
from bacl.checkpoints.mmdet_conventions import require_mmdet_conventions
from bacl.checkpoints.mmdet_file import read_published, write_published
from bacl.checkpoints.safetensors_file import write_safetensors
from bacl.export.detection_agreement import Agreement
from bacl.export.order import Order
from bacl.export.tried import Finds
from bacl.options.composed import plain
from bacl.options.marked import paths_of_model

OTHER_FORMATS = "take another export.format, such as onnx for other programs"


def write_weights(order: Order, output: Path) -> Agreement:
    """A .safetensors file: all of a final.ckpt, with one head, that `bacl.load` takes."""
    content = _content(order.model, order.head)

    def opened(path: Path) -> Finds:
        return order.finds(restore_alone(path))

    return order.write(output, lambda path: write_safetensors(path, content, order.notes), opened)


def write_mmdet(order: Order, output: Path) -> Agreement:
    """A file that MMDetection and the paper's release load.

    Raises:
        CheckpointError: they have no such parts, or compute something else with these tensors.
    """
    model = order.model
    require_mmdet_conventions("format=mmdet", plain(model.config.detector), OTHER_FORMATS)
    state = published_state(model.stage.detector, model.stage.live_heads[order.head])
    names = tuple(model.categories.names)

    def opened(path: Path) -> Finds:
        return order.finds(_read_again(model, order.head, path))

    return order.write(output, lambda path: write_published(path, state, names), opened)


def _content(model: Restored, head: str) -> dict[str, Any]:
    """As `save_stage` has it."""
    stage = model.stage
    of_model = {path.split(".")[0] for path in paths_of_model()}
    config = {key: value for key, value in plain(model.config).items() if key in of_model}
    own = config["stages"][model.name]
    config["stages"] = {model.name: own | {"heads": {head: own["heads"][head]}}}
    content = {
        "detector": stage.detector.state_dict(),
        "heads": {head: stage.heads[head].state_dict()},
        "categories": model.categories.plain(),
        "config": config,
    }
    if model.categories.training is not None:
        content[TRAINING] = model.categories.training.plain()
    if head in model.thresholds:
        content[THRESHOLDS] = {head: model.thresholds[head].plain()}
    return content


def _read_again(model: Restored, head: str, path: Path) -> Restored:
    """The model with nothing but the weights of a published file."""
    stage = copy.deepcopy(model.stage)
    for part in (stage.detector, stage.heads[head]):
        _forget(part)
    load_published(read_published(path), stage.detector, stage.live_heads[head], model.categories)
    return replace(model, stage=stage.eval())


@torch.no_grad()
def _forget(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.zero_()
