"""job=cost: parameters, multiply-adds and images per second of a stage's heads (Tab. XI)."""

import dataclasses
import json
import platform
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import rich
import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig, open_dict

from bacl.assembly.build import build_parts, build_stage, chosen_stages
from bacl.assembly.data import build_data
from bacl.assembly.restored import command_overrides
from bacl.assembly.restored_on_data import restore_on_data
from bacl.assembly.trainer import prepare_process, single_device_trainer
from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import padded_sides
from bacl.data.lvis import RELEASES
from bacl.detectors.region_detector import that_sees_pictures
from bacl.messages.errors import OptionError
from bacl.reporting.cost_table import CostRow, cost_markdown, cost_table
from bacl.runs.folder import environment, write_text
from bacl.speed.head_memory import HeadMemory
from bacl.speed.image_times import Image, Subject, time_images
from bacl.speed.work import MultiplyAdds, Parameters, count_multiply_adds, count_parameters
from bacl.stages import DetectionStage


def run(config: DictConfig, folder: Path) -> None:
    """Measure a stage and write cost/cost.json and cost/cost.md.

    With `checkpoint=` it is the stage and the model that the checkpoint is of, which detects in
    validation images; the folder is written beside the file. Without, it is the last stage (or
    `stage=…`) of the configuration and needs no file at all: weights and pixels are random, and the
    post-processing gets synthetic scores (`cost.candidates`), since its time may depend on them.
    """
    prepare_process()
    if config.checkpoint:
        model = restore_on_data(config, folder, command_overrides())
        config, name, stage, folder = model.config, model.name, model.stage, model.path.parent
    else:
        with open_dict(config):
            config.data.num_classes = number_of_classes(config)
        name = chosen_stages(config)[-1]
        stage = build_stage(config, name, pretrained=False)
    trainer = single_device_trainer(config)
    rows = measure(config, name, stage, trainer)
    notes = describe(config, name, rows, trainer.strategy.root_device)
    write_text(folder / "cost/cost.json", _json(config, rows, notes))
    write_text(folder / "cost/cost.md", cost_markdown(rows, notes))
    rich.print(cost_table(rows, notes))
    print(f"Written to {folder / 'cost'}")


def number_of_classes(config: DictConfig) -> int:
    """C: as the option says, else as the training file has, else as its release is known to have.

    Raises:
        OptionError: none of them says it.
    """
    data = config.data
    if data.num_classes is not None:
        return data.num_classes
    if Path(data.train.annotations).is_file():
        return AnnotationTable.open(data.train.annotations).num_categories
    if data.name in RELEASES:
        return RELEASES[data.name].train.counts["categories"]
    raise OptionError(
        f"data.num_classes: there is no {data.train.annotations} to count the categories in; "
        "give their number, data.num_classes=…"
    )


def measure(
    config: DictConfig, name: str, stage: DetectionStage, trainer: Trainer
) -> list[CostRow]:
    """One row for each head and, with synthetic scores, each number of candidates."""
    detector = that_sees_pictures(stage.detector, "job=cost")
    counted = {head: _count(config, name, stage, head) for head in stage.heads}
    counts = [None] if config.checkpoint else list(config.cost.candidates)
    heads = [(head, count) for head in stage.heads for count in counts]
    trainer.precision_plugin.convert_module(stage.eval().to(trainer.strategy.root_device))
    subjects = {key: Subject(stage.heads[key[0]], key[1]) for key in heads}
    with trainer.precision_plugin.forward_context():
        images = _images(config, name, trainer)
        times = time_images(detector, subjects, images, config.cost.warm_up)
    return [CostRow(key[0], *counted[key[0]], times[key]) for key in heads]


def _count(
    config: DictConfig, name: str, stage: DetectionStage, head: str
) -> tuple[Parameters, int, HeadMemory, MultiplyAdds]:
    """Parameters as built, the number of those that train in the stage, memory and the work."""
    detector, heads = build_parts(config, name, pretrained=False)
    trained = count_parameters(stage.detector, stage.heads[head]).learnable
    size = tuple(config.cost.size)
    counted = that_sees_pictures(detector, "job=cost")
    work = count_multiply_adds(counted, heads[head], size, config.cost.rois)
    memory = HeadMemory.of(stage.heads[head])
    return count_parameters(detector, heads[head]), trained, memory, work


def describe(config: DictConfig, name: str, rows: list[CostRow], device: torch.device) -> list[str]:
    """What was measured, and how."""
    options = config.cost
    height, width = options.size
    weights = f"weights of {config.checkpoint}, validation images"
    if config.checkpoint is None:
        weights = (
            "random weights and pixels (no checkpoint= given); scores for the post-processing are "
            "synthetic, with the numbers of candidates of cost.candidates"
        )
    return [
        f"params: with a gradient as built; trained: in the {name} stage; C = "
        f"{config.data.num_classes}",
        "head: weights alone; in training with statistics, gradients and momentum, beside the "
        "detector; a checkpoint holds weights and statistics once",
        f"multiply-adds: as the paper counts FLOPs, of an unpadded 3×{height}×{width} image and "
        f"{options.rois} RoIs",
        f"times: medians of {rows[0].times.images} images one at a time, {weights}",
        f"{_name(device)}, precision {config.trainer.precision}",
    ]


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def _images(config: DictConfig, name: str, trainer: Trainer) -> Iterator[Image]:
    """Images of the validation data with a checkpoint, random ones without."""
    convert, device = trainer.precision_plugin.convert_input, trainer.strategy.root_device
    wanted = config.cost.warm_up + config.cost.images
    if config.checkpoint is None:
        size = tuple(config.cost.size)
        pixels = torch.randn(1, 3, *padded_sides(*size), generator=torch.Generator().manual_seed(0))
        for _ in range(wanted):
            yield convert(pixels.to(device)), size
        return
    with open_dict(config):
        config.datamodule.val_batch_size = 1
    data = build_data(config, config.stages[name])
    for batch in islice(data.val_dataloader(), wanted):
        yield convert(batch.images.to(device)), batch.sizes[0]


def _json(config: DictConfig, rows: list[CostRow], notes: list[str]) -> str:
    content: dict[str, Any] = {
        "size": list(config.cost.size),
        "rois": config.cost.rois,
        "num_classes": config.data.num_classes,
        "checkpoint": config.checkpoint,
        "rows": [
            dataclasses.asdict(row) | {"images_per_second": row.times.images_per_second}
            for row in rows
        ],
        "notes": notes,
        "environment": environment(),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
