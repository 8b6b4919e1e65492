"""From a configuration to what is to be inspected of its data."""

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from bacl.assembly.build import chosen_stages
from bacl.assembly.data import build_data, open_categories
from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import configured_processes
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.frames import frames_of
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.data.split_messages import require_named
from bacl.detectors.anchors import AnchorGenerator
from bacl.inspection.advice import Setting, Stage
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.picture_facts import PictureFacts
from bacl.inspection.picture_pass import look_at_pictures
from bacl.inspection.view import View, distinct


def inspect(config: DictConfig, pictures: bool) -> Inspected:
    """Open the data of a configuration, and look at all that its stages would use.

    Args:
        config: of a run; is completed by what the data decide.
        pictures: open the picture files, too.

    Raises:
        MissingDataError: an annotation file is not there.
        AnnotationError: one is bad, or the splits do not agree.
        NothingToTrainOnError: no image is left to train on.
    """
    open_categories(config)
    stages = {name: build_data(config, config.stages[name]) for name in chosen_stages(config)}
    data = next(iter(stages.values()))
    require_named(data.choice.leave_out, [data.train_table, data.val_table])
    train, val = (
        InspectedSplit.of(name, each, _facts(data, each, name) if pictures else None)
        for name, each in (("train", data.train_set), ("val", data.val_set))
    )
    transforms = {name: each.augment.train for name, each in stages.items()}
    views = [view(train, transform, name) for name, transform in transforms.items()]
    views.append(view(val, list(stages.values())[-1].augment.test, "evaluation"))
    pastes = any(isinstance(each, CopyPaste) for each in transforms.values())
    return Inspected(train, val, distinct(views), _anchors(config), data.load_masks, pastes)


def _facts(data: DetectionDataModule, images: DetectionDataset, name: str) -> PictureFacts:
    rows = images.records[~images.selection.named[images.records]]
    description = f"looking at {'training' if name == 'train' else 'validation'} pictures"
    return look_at_pictures(images.files, rows, data.num_workers, description)


def view(split: InspectedSplit, transform: nn.Module, name: str) -> View:
    """The objects of a split as a transform shows them."""
    return split.view(name, frames_of(transform, split.table.image_sizes))


def _anchors(config: DictConfig) -> AnchorShapes | None:
    """Those of the detector's proposals, if it has such."""
    node = OmegaConf.select(config, "detector.rpn.anchors")
    if node is None:
        return None
    anchors = instantiate(node, AnchorGenerator)
    base = anchors.base.double().numpy()
    return AnchorShapes(base[:, :, 2:] - base[:, :, :2], np.array(anchors.strides))


def setting(config: DictConfig) -> Setting:
    """What of a configuration a preset may change."""
    stages = [
        Stage(name, config.stages[name].schedule.epochs, config.stages[name].schedule.warmup_steps)
        for name in chosen_stages(config)
    ]
    return Setting(
        stages=stages,
        batch_size=config.datamodule.batch_size,
        anchor_scale=OmegaConf.select(config, "detector.rpn.anchors.scale"),
        hallucinated_rows=_hallucinated_rows(config),
        chooses=config.get("choice") is not None,
        decoupled={"representation", "classifier"} <= set(config.stages),
        gpu=torch.cuda.is_available() and config.trainer.accelerator != "cpu",
        processes=configured_processes(config),
    )


def _hallucinated_rows(config: DictConfig) -> int | None:
    hallucination = OmegaConf.select(config, "head.hallucination")
    if hallucination is None or "categories" not in hallucination:
        return None
    return int(hallucination.categories * hallucination.samples)
