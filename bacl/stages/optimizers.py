"""The optimiser and the schedule of a stage."""

from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from bacl.data.datamodule import data_of
from bacl.stages.evaluated_heads import EvaluatedHeads
from bacl.stages.parameter_groups import parameter_groups
from bacl.stages.schedule import WarmUpSchedule


def optimizers_of(stage: EvaluatedHeads, schedule: WarmUpSchedule) -> OptimizerLRSchedulerConfig:
    """One parameter group for the detector and one for each head, by a schedule."""
    groups = parameter_groups(
        {"detector": stage.detector, **{f"heads.{n}": h for n, h in stage.heads.items()}}
    )
    trainer = stage.trainer
    images = data_of(trainer).batch_size * trainer.accumulate_grad_batches
    fused = _may_fuse(stage.device, trainer.precision_plugin)
    optimizer = schedule.build_optimizer(groups, images, fused)
    steps_per_epoch = int(trainer.estimated_stepping_batches) // max(1, schedule.epochs)
    scheduler = schedule.build_scheduler(optimizer, max(1, steps_per_epoch))
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
    }


def _may_fuse(device: torch.device, precision: Any) -> bool:
    """Whether an optimiser may take a step in one operator: on a GPU, without scaled gradients.

    On a CPU it would round in another way. Beside a scaler of gradients (16-mixed) it would undo
    their scale itself, and so after they have been clipped.
    """
    return device.type == "cuda" and getattr(precision, "scaler", None) is None
